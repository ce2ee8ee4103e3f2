// SPDX-License-Identifier: GPL-3.0-or-later

internal import PacketWire

/// One connection to a port of a lease: reads a request, answers it if it is proven, and closes first once the answer has
/// arrived, so that the scan's ports are free again at once (RFC 9293 section 3.6.1: TIME-WAIT rests with who closes first).
/// Whoever proves nothing gets not one byte.
final class Reflection: PollSource {
    private let socket: ProbeSocket
    private let peer: Endpoint
    private let port: UInt16
    private unowned let lease: Lease
    private let poller: Poller
    private var token: Poller.Token = 0
    private var script: ScriptPosition?
    private var probe: ProbeName?
    private var received: [UInt8] = []
    private var bytesIn = 0
    private var outgoing: ArraySlice<UInt8> = []
    private var phase = Phase.reading
    private var ends: Instant
    /// How long the last look for the peer's acknowledgement waited.
    private var patience = Instant.Span.milliseconds(2)

    private enum Phase { case reading, answering, awaitingAcknowledgement, closed }

    init(_ socket: ProbeSocket, from peer: Endpoint, at port: UInt16, of lease: Lease, _ poller: Poller) {
        self.socket = socket
        self.peer = peer
        self.port = port
        self.lease = lease
        self.poller = poller
        ends = Poller.now + lease.patience(at: port)
    }

    func start(at now: Instant) {
        token = poller.add(self)
        if let (probe, script) = lease.script(.tcp, at: port, with: peer) {
            self.probe = probe
            self.script = ScriptPosition(script, as: .reflector)
            arrived()
        }
        poller.schedule(token, at: ends)
        do throws(SystemFault) {
            try poller.watch(socket.descriptor, for: .readable, token, isNew: true)
        } catch {
            return finish(wasReset: false)
        }
        if script != nil { play() }
    }

    /// What is known of it, while that is not whose probe it is.
    var stranger: Stranger? {
        guard probe == nil else { return nil }
        return Stranger(transport: .tcp, port: port, peer: peer, bytesIn: bytesIn, wasReset: false)
    }

    /// At the end of the lease.
    func close() {
        guard phase != .closed else { return }
        phase = .closed
        poller.remove(token)
        socket.close()
    }

    private func finish(wasReset: Bool) {
        guard phase != .closed else { return }
        if let probe {
            if wasReset { lease.note(probe) { $0.marks.insert(.reset) } }
        } else if var stranger {
            stranger.wasReset = wasReset
            lease.noteStranger(stranger)
        }
        close()
        lease.leave(self)
    }

    func ready(_ what: Readiness, at now: Instant) {
        if what.contains(.readable) || what.contains(.error) || what.contains(.hangUp) { read(at: now) }
        if phase == .answering, what.contains(.writable) { write() }
    }

    func due(at now: Instant) {
        guard phase == .awaitingAcknowledgement, now < ends else { return finish(wasReset: false) }
        if socket.isAcknowledged {
            if let probe { lease.note(probe) { $0.marks.insert(.acknowledged) } }
            return finish(wasReset: false)
        }
        patience = min(Instant.Span(nanoseconds: patience.nanoseconds * 2), .milliseconds(200))
        poller.schedule(token, at: min(now + patience, ends))
    }

    private func read(at now: Instant) {
        while phase != .closed {
            let count: Int
            do throws(SystemFault) {
                count = try socket.receive(into: &poller.buffer)
            } catch {
                if error.name != "EAGAIN" { ended(wasReset: true) }
                return
            }
            guard count > 0 else { return ended(wasReset: false) }
            bytesIn += count
            take(poller.buffer[..<count], at: now)
        }
    }

    /// The other end has closed, or reset.
    private func ended(wasReset: Bool) {
        if phase == .awaitingAcknowledgement, !wasReset, let probe, socket.isAcknowledged {
            lease.note(probe) { $0.marks.insert(.acknowledged) }
        }
        finish(wasReset: wasReset)
    }

    private func take(_ bytes: ArraySlice<UInt8>, at now: Instant) {
        if script != nil {
            guard let probe, script?.take(bytes) == bytes.count else { return finish(wasReset: false) }
            lease.note(probe) { $0.bytesIn += bytes.count }
            return play()
        }
        guard phase == .reading else { return finish(wasReset: false) }
        received += bytes
        guard received.count >= ProbePayload.minimumBytes else { return }
        guard let payload = ProbePayload(unproven: received), lease.isKnown(payload), received.count <= payload.length
        else { return refuse() }
        guard received.count == payload.length else { return }
        answer(at: now)
    }

    private func refuse() {
        _ = lease.request(in: [])
        finish(wasReset: false)
    }

    private func answer(at now: Instant) {
        guard let request = lease.request(in: received) else { return finish(wasReset: false) }
        let probe = ProbeName(request)
        self.probe = probe
        arrived()
        lease.note(probe) { record in
            record.marks.insert(.proven)
            record.bytesIn += received.count
        }
        guard lease.claim(request), lease.mayAnswer(at: now) else { return finish(wasReset: false) }
        outgoing = lease.answer(to: request)[...]
        received = []
        phase = .answering
        write()
    }

    private func arrived() {
        guard let probe else { return }
        lease.note(probe) { record in
            record.marks.insert(.arrived)
            record.peer = peer
        }
    }

    /// Sends what the script has for this side now.
    private func play() {
        guard let position = script, let probe else { return }
        if position.isComplete { lease.note(probe) { $0.marks.insert(.proven) } }
        outgoing = position.outgoing
        if !outgoing.isEmpty {
            phase = .answering
            write()
        } else if position.isComplete {
            awaitAcknowledgement()
        }
    }

    private func write() {
        do throws(SystemFault) {
            while !outgoing.isEmpty {
                let sent = try socket.send(outgoing)
                outgoing = outgoing.dropFirst(sent)
                script?.sent(sent)
                if let probe { lease.note(probe) { $0.bytesOut += sent } }
            }
        } catch {
            guard error.name == "EAGAIN" else { return ended(wasReset: true) }
            try? poller.watch(socket.descriptor, for: [.readable, .writable], token, isNew: false)
            return
        }
        try? poller.watch(socket.descriptor, for: .readable, token, isNew: false)
        if script != nil {
            phase = .reading
            play()
        } else {
            awaitAcknowledgement()
        }
    }

    private func awaitAcknowledgement() {
        guard phase != .closed, phase != .awaitingAcknowledgement else { return }
        if let probe { lease.note(probe) { $0.marks.formUnion([.answered, .proven]) } }
        phase = .awaitingAcknowledgement
        poller.schedule(token, at: min(Poller.now + patience, ends))
    }
}
