// SPDX-License-Identifier: GPL-3.0-or-later

import CSyslogShim
import FirewallPolicy
import Glibc
import PacketWire

/// Brings messages to a receiver of syslog, whatever happens to it.
///
/// A message stays in the backlog until the receiver's kernel has it, as far as can be known: TCP says so itself; a datagram is
/// taken for received when nothing has said otherwise for a while. What is not confirmed when a connection ends goes out again,
/// whole, over the next one. What the receiver's program makes of it syslog does not tell.
final class SyslogWriter {
    private(set) var settings: SyslogSettings
    private var mark: UInt32
    private let peers: OwnPeers
    private var connection: SyslogConnection?
    private var addresses = SyslogAddresses()
    private var inFlight = InFlight()
    /// Bytes of the first waiting message that are confirmed.
    private var torn = 0
    /// Why the last connection ended, until one has taken something.
    private var lastFault: SyslogFault?
    /// Nobody is known to listen: one datagram is enough to find out.
    private var isProbing = true
    private(set) var warning: String?
    /// Grows with each byte that the receiver's kernel took.
    private(set) var progress = 0
    /// The form of this output, which follows the policy.
    let form: SyslogForm

    init(_ settings: SyslogSettings, mark: UInt32, _ peers: OwnPeers) {
        self.settings = settings
        self.mark = mark
        self.peers = peers
        form = SyslogForm(settings)
    }

    func follow(_ new: SyslogSettings, mark newMark: UInt32) {
        let reconnects = new.tls != settings.tls || newMark != mark
        settings = new
        mark = newMark
        form.settings = new
        warning = nil
        if reconnects { reopen() }
    }

    /// Connects anew at the next message, and reads the files of TLS again.
    func reopen() {
        end()
        addresses.forget()
    }

    func close() { end() }

    var descriptor: Int32 { connection?.descriptor ?? -1 }
    /// Something was sent and is not confirmed: look again soon.
    var isAwaitingConfirmation: Bool { !inFlight.isEmpty }

    func waitUntilWritable(milliseconds: Int32) {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = unsafe poll(&entry, 1, milliseconds)
    }

    /// Sends what waits, up to the first failure.
    func send(_ backlog: inout EventBacklog, at now: Instant) throws(SyslogFault) {
        let isOpen: Bool
        do throws(SyslogFault) {
            isOpen = try sendOpened(&backlog, at: now)
        } catch {
            if error.cause != .doesNotRead {
                end()
                lastFault = error
            }
            throw error
        }
        // As long as it is in doubt whether anybody is there, it is as it was.
        guard isOpen else { throw lastFault ?? SyslogFault(target: settings.target, cause: .isBeingConnected) }
        if let lastFault, !inFlight.isEmpty { throw lastFault }
        lastFault = nil
    }

    /// At the end: gives what is under way half a second to be confirmed.
    func settle(_ backlog: inout EventBacklog) {
        guard let connection else { return }
        for _ in 0..<25 where !inFlight.isEmpty {
            usleep(20_000)
            let isSound: Void? = try? connection.drain(settings.target)
            guard isSound != nil else { return }
            if connection.kind == .datagrams {
                take(inFlight.confirm(upTo: .max), &backlog)
            } else {
                take(inFlight.confirm(upTo: connection.bytesTaken), &backlog)
            }
        }
    }

    private func end() {
        connection = nil
        inFlight = InFlight()
        torn = 0
        isProbing = true
    }
}

extension SyslogWriter {
    /// - Returns: false where the connection is not open yet.
    private func sendOpened(_ backlog: inout EventBacklog, at now: Instant) throws(SyslogFault) -> Bool {
        let current: SyslogConnection
        if let connection { current = connection } else { current = try connect(at: now) }
        connection = current
        guard try current.advance(settings, at: now) else { return false }
        try confirm(current, &backlog, at: now)
        switch current.kind {
        case .datagrams, .localDatagrams: try sendDatagrams(current, &backlog, at: now)
        case .localStream, .stream: try sendStream(current, &backlog)
        }
        try confirm(current, &backlog, at: now)
        return true
    }

    private func connect(at now: Instant) throws(SyslogFault) -> SyslogConnection {
        switch settings.target {
        case .local(let path):
            var isStream = false
            let descriptor = unsafe csyslog_open_local(path, &isStream)
            return SyslogConnection(try open(descriptor), isStream ? .localStream : .localDatagrams, at: now)
        case .udp(let endpoint):
            let peer = try nextPeer(endpoint, IPProtocol.udp)
            let descriptor = unsafe withUnsafePointer(to: peer) { unsafe csyslog_open_datagrams($0, mark) }
            return SyslogConnection(try open(descriptor), .datagrams, at: now)
        case .tcp(let endpoint), .tls(let endpoint):
            let peer = try nextPeer(endpoint, IPProtocol.tcp)
            let descriptor = unsafe withUnsafePointer(to: peer) { unsafe csyslog_open_stream($0, mark) }
            return SyslogConnection(try open(descriptor), .stream, at: now)
        }
    }

    private func open(_ result: Int32) throws(SyslogFault) -> Int32 {
        guard result >= 0 else { throw SyslogFault(target: settings.target, cause: .system(-result)) }
        return result
    }

    private func nextPeer(_ endpoint: RemoteEndpoint, _ number: UInt8) throws(SyslogFault) -> csyslog_peer {
        let peer = try addresses.next(endpoint, of: settings.target)
        peers.add([peer.ownPeer(protocolNumber: number)], of: "\(settings.target)")
        return peer
    }

    /// Counts what has arrived, and learns whether the receiver is still there.
    private func confirm(
        _ connection: SyslogConnection, _ backlog: inout EventBacklog, at now: Instant
    ) throws(SyslogFault) {
        if connection.kind == .stream { take(inFlight.confirm(upTo: connection.bytesTaken), &backlog) }
        try connection.drain(settings.target)
        if connection.kind == .datagrams { take(inFlight.confirm(upTo: now.nanoseconds), &backlog) }
    }

    private func take(_ bytes: Int, _ backlog: inout EventBacklog) {
        guard bytes > 0 else { return }
        torn = backlog.noteArrived(torn + bytes)
        isProbing = false
    }

    private func sendStream(
        _ connection: SyslogConnection, _ backlog: inout EventBacklog
    ) throws(SyslogFault) {
        while true {
            let start = backlog.start + torn + inFlight.bytes
            guard start < backlog.text.count else { return }
            guard let count = try connection.send(backlog.text, from: start, to: backlog.text.count, settings.target)
            else { throw SyslogFault(target: settings.target, cause: .doesNotRead) }
            progress += count
            if connection.kind == .stream {
                inFlight.add(count, confirmedAt: connection.bytesGiven)
            } else {
                take(count, &backlog)
            }
        }
    }

    private func sendDatagrams(
        _ connection: SyslogConnection, _ backlog: inout EventBacklog, at now: Instant
    ) throws(SyslogFault) {
        let isLocal = connection.kind == .localDatagrams
        while let length = backlog.length(ofWaiting: inFlight.count) {
            if isProbing, !isLocal, !inFlight.isEmpty { return }
            let start = backlog.start + inFlight.bytes
            let end = start + length - (isLocal ? 1 : 0)
            do throws(SyslogFault) {
                guard try connection.send(backlog.text, from: start, to: end, settings.target) != nil else {
                    throw SyslogFault(target: settings.target, cause: .doesNotRead)
                }
            } catch {
                guard error.cause == .system(EMSGSIZE) else { throw error }
                guard inFlight.isEmpty else { return }
                warning = "messages are longer than the way to \(settings.target) takes; lower message-size"
                backlog.giveUpFirst()
                continue
            }
            progress += length
            if isLocal {
                take(length, &backlog)
            } else {
                inFlight.add(length, confirmedAt: now.nanoseconds + SyslogWriter.doubt.nanoseconds)
            }
        }
    }

    /// How long a refusal of a datagram may take.
    private static let doubt = Instant.Span.milliseconds(200)
}
