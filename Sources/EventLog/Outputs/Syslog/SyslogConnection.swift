// SPDX-License-Identifier: GPL-3.0-or-later

import CSyslogShim
import FirewallPolicy
import Glibc
import PacketWire

/// A socket to a receiver, with TLS over it where the target has it.
@safe
final class SyslogConnection {
    enum Kind { case datagrams, localDatagrams, localStream, stream }

    enum Phase {
        case connecting, handshaking
        /// The handshake is done for this end; the receiver may still refuse this host's certificate.
        case settling(read: UInt64)
        case open
    }

    let descriptor: Int32
    let kind: Kind
    /// When the present phase began.
    private(set) var since: Instant
    private(set) var phase: Phase
    private var session: OpaquePointer?
    /// Bytes given to a socket without TLS.
    private var written: Int64 = 0

    init(_ descriptor: Int32, _ kind: Kind, at now: Instant) {
        self.descriptor = descriptor
        self.kind = kind
        phase = kind == .stream ? .connecting : .open
        since = now
    }

    deinit {
        if let session = unsafe session {
            unsafe csyslog_tls_free(session)
        } else if kind == .stream {
            // What was not read would make the kernel reset the connection, and what it still has to send would be lost.
            _ = csyslog_drain(descriptor)
        }
        close(descriptor)
    }

    /// Goes on with what has to be before the first byte.
    ///
    /// - Returns: whether the connection is open.
    func advance(_ settings: SyslogSettings, at now: Instant) throws(SyslogFault) -> Bool {
        while true {
            switch phase {
            case .open: return true
            case .connecting:
                let result = csyslog_connected(descriptor)
                if result == -EINPROGRESS { return try wait(settings, at: now) }
                guard result == 0 else { throw SyslogFault(target: settings.target, cause: .system(-result)) }
                guard case .tls(let endpoint) = settings.target else { return enter(.open, at: now) }
                try beginTLS(settings, endpoint)
                _ = enter(.handshaking, at: now)
            case .handshaking:
                let result = unsafe session.map { unsafe csyslog_tls_handshake($0) } ?? 0
                if result == csyslog_tls_wants_read.rawValue || result == csyslog_tls_wants_write.rawValue {
                    return try wait(settings, at: now)
                }
                guard result == csyslog_tls_done.rawValue else { throw failure(settings.target) }
                _ = enter(.settling(read: bytesRead), at: now)
            case .settling(let read):
                try drain(settings.target)
                if bytesRead > read || now - since >= SyslogConnection.settlingTime || now < since {
                    return enter(.open, at: now)
                }
                return false
            }
        }
    }

    private func enter(_ next: Phase, at now: Instant) -> Bool {
        phase = next
        since = now
        if case .open = next { return true }
        return false
    }

    private func wait(_ settings: SyslogSettings, at now: Instant) throws(SyslogFault) -> Bool {
        guard now - since < SyslogConnection.patience else {
            throw SyslogFault(target: settings.target, cause: .doesNotAnswer)
        }
        return false
    }

    private func beginTLS(_ settings: SyslogSettings, _ endpoint: RemoteEndpoint) throws(SyslogFault) {
        let tls = settings.tls
        var message = [CChar](repeating: 0, count: 512)
        unsafe session = unsafe csyslog_tls_new(
            descriptor, tls.name ?? endpoint.host, tls.authorities, tls.certificate, tls.key, &message, message.count)
        guard unsafe session == nil else { return }
        throw SyslogFault(target: settings.target, cause: .tls(SyslogConnection.text(message)))
    }

    /// Hears what the receiver has to say: nothing, or that it has gone.
    func drain(_ target: SyslogTarget) throws(SyslogFault) {
        guard let session = unsafe session else {
            let result = csyslog_drain(descriptor)
            if result == -EPIPE, kind != .localDatagrams, kind != .datagrams {
                throw SyslogFault(target: target, cause: .closed)
            }
            if result < 0, result != -EPIPE { throw SyslogFault(target: target, cause: .system(-result)) }
            return
        }
        let result = unsafe csyslog_tls_drain(session)
        if result == csyslog_tls_failed.rawValue || result == csyslog_tls_closed.rawValue { throw failure(target) }
    }

    /// Bytes that the socket took of these, or nil where it takes none now.
    func send(_ bytes: [UInt8], from start: Int, to end: Int, _ target: SyslogTarget) throws(SyslogFault) -> Int? {
        let count: Int = unsafe bytes.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return 0 }
            guard let session = unsafe session else {
                return unsafe csyslog_send(descriptor, base + start, end - start)
            }
            return unsafe csyslog_tls_send(session, base + start, end - start)
        }
        if count >= 0 {
            written += Int64(count)
            return count
        }
        if unsafe session != nil {
            let isWaiting = count == csyslog_tls_wants_read.rawValue || count == csyslog_tls_wants_write.rawValue
            guard isWaiting else { throw failure(target) }
            return nil
        }
        if count == -Int(EAGAIN) { return nil }
        throw SyslogFault(target: target, cause: .system(Int32(-count)))
    }

    /// Bytes that were given to the connection, TLS's own among them.
    var bytesGiven: Int64 {
        unsafe session.map { Int64(unsafe csyslog_tls_written($0)) } ?? written
    }

    /// Of `bytesGiven`: those that the receiver's TCP has.
    var bytesTaken: Int64 { bytesGiven - max(0, csyslog_unacknowledged(descriptor)) }

    private var bytesRead: UInt64 { unsafe session.map { unsafe csyslog_tls_read($0) } ?? 0 }

    private func failure(_ target: SyslogTarget) -> SyslogFault {
        var message = [CChar](repeating: 0, count: 512)
        if let session = unsafe session { unsafe csyslog_tls_failure(session, &message, message.count) }
        return SyslogFault(target: target, cause: .tls(SyslogConnection.text(message)))
    }

    private static func text(_ message: [CChar]) -> String {
        String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static let patience = Instant.Span.seconds(5)
    /// TLS 1.3 ends the client's handshake before the server has seen its certificate.
    private static let settlingTime = Instant.Span.milliseconds(500)
}
