// SPDX-License-Identifier: GPL-3.0-or-later

internal import Glibc
package import PacketWire

/// Why a scan has no reflector.
package struct ControlFault: Error, Hashable, Sendable, CustomStringConvertible {
    package var description: String
    package init(_ description: String) { self.description = description }
}

/// A scan's end of the control channel. Questions are answered in their order, while the loop goes on for everything else.
package final class ControlChannel: PollSource {
    private let input: CInt
    private let output: CInt
    private let poller: Poller
    private var token: Poller.Token = 0
    private var frames = ControlFrames(.client)
    private var outgoing: ArraySlice<UInt8> = []
    private var answers: [ProbeAnswer] = []
    /// Heartbeats whose answers nobody waits for.
    private var unheard = 0
    /// Why it ended; nil while it is there.
    private(set) var fault: ControlFault?
    package private(set) var session: (number: UInt64, key: SecretKey)?
    private var isBeating = false

    private static let heartbeat = Instant.Span.seconds(10)

    /// Two ends of pipes, or the same socket twice; non-blocking. They are closed with the channel.
    package init(input: Int32, output: Int32, _ poller: Poller) throws(SystemFault) {
        self.input = input
        self.output = output
        self.poller = poller
        for descriptor in [input, output] { _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK) }
        token = poller.add(self)
        try poller.watch(input, for: .readable, token, isNew: true)
    }

    /// Connects to a reflector. The answer to the connection is awaited for as long as a probe's.
    package static func connect(to endpoint: Endpoint, _ poller: Poller) throws(ControlFault) -> ControlChannel {
        do {
            let socket = try ProbeSocket(.tcp, isIPv6: endpoint.isIPv6)
            if let fault = socket.connect(endpoint) { throw fault }
            var entry = pollfd(fd: socket.descriptor, events: Int16(POLLOUT), revents: 0)
            guard unsafe poll(&entry, 1, 10_000) == 1 else { throw SystemFault(ETIMEDOUT) }
            if let fault = socket.takeError() { throw fault }
            return try ControlChannel(input: socket.descriptor, output: socket.descriptor, poller)
        } catch {
            throw ControlFault("no connection to a reflector at \(endpoint): \(error)")
        }
    }

    /// Says that the scan is over, so that the ports are closed when this returns, and ends the channel.
    package func close() {
        guard fault == nil else { return }
        if session != nil { _ = try? ask(.end, patience: .seconds(3)) }
        lose("closed")
    }

    private func lose(_ reason: String) {
        guard fault == nil else { return }
        fault = ControlFault(reason)
        poller.remove(token)
        ProbeSocket(descriptor: input).close()
        if output != input { ProbeSocket(descriptor: output).close() }
    }

    /// Proves both ends to each other. Without a key the channel itself is trusted.
    package func authenticate(_ key: SecretKey?) throws(ControlFault) {
        guard let nonce = try? randomBytes(Handshake.nonceBytes) else { throw ControlFault("no random bytes") }
        guard case .challenge(let theirs) = try ask(.hello(version: ProbeRequest.version, nonce: nonce)) else {
            throw unexpected()
        }
        let handshake = Handshake(key, client: nonce, reflector: theirs)
        guard case .accepted(let proof, let session) = try ask(.prove(handshake.proof(of: .client))) else {
            throw unexpected()
        }
        guard isSame(proof, handshake.proof(of: .reflector)) else {
            throw ControlFault("the reflector does not have the key: something else answers there")
        }
        frames.protect(with: handshake.channelKey)
        self.session = (session, handshake.payloadKey)
        isBeating = true
        poller.schedule(token, at: Poller.now + Self.heartbeat)
    }

    func unexpected() -> ControlFault { ControlFault("the reflector gave the answer to another question") }

    /// The answer, or why there is none. The loop goes on meanwhile.
    package func ask(
        _ request: ProbeRequest, patience: Instant.Span = .seconds(10)
    ) throws(ControlFault) -> ProbeAnswer {
        write(request)
        let limit = Poller.now + patience
        while true {
            if let answer = answers.first {
                answers.removeFirst()
                guard case .refused(let reason) = answer else { return answer }
                throw ControlFault("the reflector refuses: \(reason)")
            }
            if let fault { throw fault }
            guard Poller.now < limit else { throw ControlFault("the reflector does not answer") }
            do throws(SystemFault) { try poller.turn(until: limit) } catch { throw ControlFault("\(error)") }
        }
    }

    private func write(_ request: ProbeRequest) {
        outgoing += frames.line(request.message)
        flush()
    }

    private func flush() {
        while !outgoing.isEmpty, fault == nil {
            let count = unsafe outgoing.withUnsafeBytes { unsafe Glibc.write(output, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { return awaitRoom() }
            guard count > 0 else {
                let gone = SystemFault(errno)
                // Its last words say more.
                ready(.readable, at: Poller.now)
                return lose("the reflector has gone: \(gone)")
            }
            outgoing = outgoing.dropFirst(count)
        }
    }

    /// Its messages are few and short: a channel that takes none of them for a while is no use.
    private func awaitRoom() {
        var entry = pollfd(fd: output, events: Int16(POLLOUT), revents: 0)
        if unsafe poll(&entry, 1, 5_000) == 1 { flush() } else { lose("the reflector does not read") }
    }

    func due(at now: Instant) {
        guard isBeating else { return }
        unheard += 1
        write(.alive)
        poller.schedule(token, at: now + Self.heartbeat)
    }

    func ready(_ what: Readiness, at now: Instant) {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(input, $0.baseAddress, $0.count) }
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        guard count > 0 else {
            return lose(
                session == nil ? "the reflector closed the connection without a word" : "the reflector has gone")
        }
        frames.append(buffer[..<count])
        do {
            while let line = try frames.next() { take(try ProbeAnswer(message: line)) }
        } catch {
            lose("what answers is no reflector, or the wrong one: \(error)")
        }
    }

    private func take(_ answer: ProbeAnswer) {
        if unheard > 0, case .alive = answer {
            unheard -= 1
        } else if answers.count < 16 {
            answers.append(answer)
        }
    }
}
