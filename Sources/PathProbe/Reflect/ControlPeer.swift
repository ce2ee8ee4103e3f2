// SPDX-License-Identifier: GPL-3.0-or-later

internal import Glibc
internal import PacketWire

/// The reflector's end of one control channel: who asks proves first, then asks for ports. The lease goes with the channel.
final class ControlPeer: PollSource {
    private let input: CInt
    private let output: CInt
    let address: Endpoint?
    private unowned let reflector: Reflector
    private let poller: Poller
    private var token: Poller.Token = 0
    private var frames = ControlFrames(.reflector)
    private var phase = Phase.greeting
    private var outgoing: ArraySlice<UInt8> = []
    private var heardAt: Instant
    private var leaseEnds: Instant?
    private(set) var lease: Lease?

    private enum Phase {
        case greeting
        case proving(Handshake)
        case serving
        /// What is still to be written goes out, then the end.
        case ending
    }

    /// `input` and `output` are the same socket, or the ends of two pipes.
    init(_ input: CInt, _ output: CInt, from address: Endpoint?, of reflector: Reflector, _ poller: Poller) {
        self.input = input
        self.output = output
        self.address = address
        self.reflector = reflector
        self.poller = poller
        heardAt = Poller.now
    }

    var isProven: Bool { lease != nil }

    func start() throws(SystemFault) {
        token = poller.add(self)
        try poller.watch(input, for: .readable, token, isNew: true)
        poller.schedule(token, at: heardAt + reflector.options.limits.handshake)
    }

    func close() {
        lease?.end()
        lease = nil
        phase = .ending
        outgoing = []
        poller.remove(token)
        ProbeSocket(descriptor: input).close()
        if output != input { ProbeSocket(descriptor: output).close() }
    }

    func due(at now: Instant) {
        guard lease != nil, let leaseEnds, now < leaseEnds, now < heardAt + reflector.options.limits.silence else {
            return reflector.ended(self, because: lease == nil ? "no proof in time" : "the lease is over")
        }
        scheduleEnd()
    }

    private func scheduleEnd() {
        guard let leaseEnds else { return }
        poller.schedule(token, at: min(leaseEnds, heardAt + reflector.options.limits.silence))
    }

    func ready(_ what: Readiness, at now: Instant) {
        if what.contains(.writable) { write() }
        guard what.contains(.readable) || what.contains(.error) || what.contains(.hangUp) else { return }
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(input, $0.baseAddress, $0.count) }
        if count < 0, errno == EAGAIN || errno == EINTR { return }
        guard count > 0 else { return reflector.ended(self, because: "the scan has gone") }
        frames.append(buffer[..<count])
        serve(at: now)
    }

    private func serve(at now: Instant) {
        do {
            while let line = try frames.next() {
                if case .ending = phase { return }
                heardAt = now
                take(try ProbeRequest(message: line), at: now)
            }
        } catch is ControlFrames.Fault {
            reflector.ended(self, because: "lines that are not the scan's")
        } catch {
            refuse("\(error)")
        }
    }

    private func take(_ request: ProbeRequest, at now: Instant) {
        switch (phase, request) {
        case (.greeting, .hello(ProbeRequest.version, let nonce)) where nonce.count == Handshake.nonceBytes:
            greet(nonce)
        case (.greeting, .hello): refuse("another version of the protocol, or no nonce")
        case (.proving(let handshake), .prove(let proof)): prove(handshake, proof, at: now)
        case (.serving, let request): serve(request)
        default: refuse("a request out of turn")
        }
    }

    private func greet(_ theirs: [UInt8]) {
        guard let ours = try? randomBytes(Handshake.nonceBytes) else { return refuse("no random bytes") }
        phase = .proving(Handshake(reflector.options.key, client: theirs, reflector: ours))
        answer(.challenge(nonce: ours))
    }

    private func prove(_ handshake: Handshake, _ proof: [UInt8], at now: Instant) {
        guard isSame(proof, handshake.proof(of: .client)) else {
            reflector.noteFailure(of: address, at: now)
            return refuse("wrong key")
        }
        guard let session = reflector.newSession() else { return refuse("too many scans at a time") }
        lease = Lease(
            session: session, key: handshake.payloadKey, client: address, poller: poller, options: reflector.options)
        lease?.agent = reflector.openAgent()
        leaseEnds = now + reflector.options.limits.lease
        phase = .serving
        scheduleEnd()
        answer(.accepted(proof: handshake.proof(of: .reflector), session: session))
        frames.protect(with: handshake.channelKey)
        reflector.say("a scan begins", address)
    }

    private func serve(_ request: ProbeRequest) {
        guard let lease else { return }
        switch request {
        case .script(let id, let transport, let steps):
            guard let script = try? PayloadScript(steps, over: transport), lease.add(script, as: id) else {
                return refuse("a script that cannot be played")
            }
            answer(.scripted)
        case .open(let opening):
            guard opening.ports.count <= Reflector.portsOfOneRequest, let refused = lease.open(opening) else {
                return refuse("more than a lease may have")
            }
            answer(.opened(refused: refused))
        case .go:
            lease.watchOpenings()
            reflector.say("\(lease.openPorts) ports listen", address)
            answer(.ready)
        case .alive: answer(.alive(lease.currentCounters()))
        case .witness(let from, let strangersFrom):
            let all = lease.records(of: lease.session)
            let records = all.dropFirst(from).prefix(Reflector.recordsOfOneAnswer)
            let others = lease.strangers(from: strangersFrom)
            let strangers = others.prefix(Reflector.strangersOfOneAnswer)
            let more = from + records.count < all.count || strangers.count < others.count
            answer(.witness(records: Array(records), strangers: Array(strangers), more: more))
        case .sightings(let from): answer(lease.sightings(from: from))
        case .drops(let from): answer(lease.drops(from: from))
        case .end:
            lease.end()
            answer(.ended)
            phase = .ending
        case .hello, .prove: refuse("a request out of turn")
        }
    }

    private func refuse(_ reason: String) {
        answer(.refused(reason))
        phase = .ending
        write()
    }

    private func answer(_ answer: ProbeAnswer) {
        outgoing += frames.line(answer.message)
        guard outgoing.count <= Reflector.unreadBytes else { return reflector.ended(self, because: "it does not read") }
        write()
    }

    /// For a pipe, which one scan alone reads.
    private func awaitRoom() {
        var entry = pollfd(fd: output, events: Int16(POLLOUT), revents: 0)
        _ = unsafe poll(&entry, 1, 5_000)
    }

    private func write() {
        while !outgoing.isEmpty {
            let count = unsafe outgoing.withUnsafeBytes { unsafe Glibc.write(output, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN {
                if input == output { break }
                awaitRoom()
                continue
            }
            guard count > 0 else { return reflector.ended(self, because: "the scan has gone") }
            outgoing = outgoing.dropFirst(count)
        }
        if outgoing.isEmpty, case .ending = phase { return reflector.ended(self, because: nil) }
        guard input == output else { return }
        try? poller.watch(input, for: outgoing.isEmpty ? .readable : [.readable, .writable], token, isNew: false)
    }
}
