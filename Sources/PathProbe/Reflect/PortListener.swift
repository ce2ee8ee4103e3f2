// SPDX-License-Identifier: GPL-3.0-or-later

internal import PacketWire

/// One port of a lease on one address.
final class PortListener: PollSource {
    private let socket: ProbeSocket
    private let transport: Transport
    private let port: UInt16
    private let isIPv6: Bool
    private unowned let lease: Lease
    private let poller: Poller
    private var token: Poller.Token = 0
    private var conversations = DatagramConversations()

    /// Connections or datagrams served before other sockets have their turn.
    private static let batch = 64

    init(_ endpoint: Endpoint, _ transport: Transport, of lease: Lease, _ poller: Poller) throws(SystemFault) {
        self.transport = transport
        self.lease = lease
        self.poller = poller
        port = endpoint.port
        isIPv6 = endpoint.isIPv6
        socket = try ProbeSocket(listening: endpoint, transport, backlog: 4_096)
        token = poller.add(self)
        do throws(SystemFault) {
            try poller.watch(socket.descriptor, for: .readable, token, isNew: true)
        } catch {
            close()
            throw error
        }
    }

    func close() {
        poller.remove(token)
        socket.close()
    }

    /// Answers from here may not be taken apart on the way.
    func keepWhole() throws(SystemFault) { try socket.keepWhole(isIPv6: isIPv6) }

    func ready(_ what: Readiness, at now: Instant) {
        _ = socket.takeError()
        for _ in 0..<Self.batch {
            do throws(SystemFault) {
                if transport == .tcp { try accept(at: now) } else { try receive(at: now) }
            } catch {
                if error.isExhaustion { pause(at: now) }
                return
            }
        }
    }

    /// Out of descriptors or memory: others are served meanwhile, and the kernel's queue keeps who waits.
    private func pause(at now: Instant) {
        poller.unwatch(socket.descriptor)
        poller.schedule(token, at: now + .milliseconds(100))
    }

    func due(at now: Instant) {
        try? poller.watch(socket.descriptor, for: .readable, token, isNew: true)
    }

    private func accept(at now: Instant) throws(SystemFault) {
        let (accepted, peer) = try socket.accept()
        let reflection = Reflection(accepted, from: peer, at: port, of: lease, poller)
        guard lease.enter(reflection) else { return accepted.close() }
        reflection.start(at: now)
    }

    private func receive(at now: Instant) throws(SystemFault) {
        let (length, peer, local, trafficClass) = try socket.receiveDatagram(into: &poller.buffer)
        guard length <= poller.buffer.count else { return }
        let bytes = poller.buffer[..<length]
        if let (probe, script) = lease.script(.udp, at: port, with: peer) {
            lease.note(probe) { $0.trafficClass = trafficClass }
            converse(bytes, probe, script, peer, local, at: now)
        } else if let request = lease.request(in: bytes) {
            lease.note(ProbeName(request)) { $0.trafficClass = trafficClass }
            answer(request, peer, local, at: now)
        } else {
            lease.noteStranger(
                Stranger(transport: .udp, port: port, peer: peer, bytesIn: length, wasReset: false))
        }
    }

    /// As long as the request, to where it came from, from where it went to.
    private func answer(_ request: ProbePayload, _ peer: Endpoint, _ local: Endpoint, at now: Instant) {
        let probe = ProbeName(request)
        lease.note(probe) { record in
            record.marks.formUnion([.arrived, .proven])
            record.bytesIn += request.length
            record.peer = peer
        }
        guard lease.claim(request), lease.mayAnswer(at: now) else { return }
        send(lease.answer(to: request), for: probe, to: peer, from: local)
    }

    private func converse(
        _ bytes: ArraySlice<UInt8>, _ probe: ProbeName, _ script: PayloadScript, _ peer: Endpoint, _ local: Endpoint,
        at now: Instant
    ) {
        let reply = conversations.reply(to: bytes, from: peer, script)
        lease.note(probe) { record in
            record.marks.insert(.arrived)
            if reply.isExpected { record.marks.insert(.proven) }
            record.bytesIn += bytes.count
            record.peer = peer
        }
        guard let answer = reply.answer, lease.mayAnswer(at: now) else { return }
        send(answer, for: probe, to: peer, from: local)
    }

    private func send(_ answer: [UInt8], for probe: ProbeName, to peer: Endpoint, from local: Endpoint) {
        guard let sent = try? socket.send(answer, to: peer, from: local.isAny ? nil : local) else { return }
        lease.note(probe) { record in
            record.marks.insert(.answered)
            record.bytesOut += sent
        }
    }
}

/// Where each sender stands in the script of a datagram port. What a datagram asks for is found by its bytes, so that copies
/// of one are answered alike; each step is answered a few times at most.
struct DatagramConversations {
    private var answers: [Endpoint: [Int: Int]] = [:]
    private static let senders = 1_024
    private static let copies = 16

    /// What stands in the script behind the datagram, and whether the datagram stands in it.
    mutating func reply(
        to bytes: ArraySlice<UInt8>, from peer: Endpoint, _ script: PayloadScript
    ) -> (isExpected: Bool, answer: [UInt8]?) {
        guard
            let step = script.steps.indices.first(where: {
                script.steps[$0].sender == .client && script.steps[$0].bytes == Array(bytes)
            })
        else { return (false, nil) }
        let next = step + 1
        guard next < script.steps.count, script.steps[next].sender == .reflector else { return (true, nil) }
        guard answers.count < Self.senders || answers[peer] != nil, answers[peer]?[step] ?? 0 < Self.copies else {
            return (true, nil)
        }
        answers[peer, default: [:]][step, default: 0] += 1
        return (true, script.steps[next].bytes)
    }
}

extension SystemFault {
    /// Of descriptors or memory.
    var isExhaustion: Bool { ["EMFILE", "ENFILE", "ENOMEM", "ENOBUFS"].contains(name) }
}
