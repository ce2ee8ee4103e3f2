// SPDX-License-Identifier: GPL-3.0-or-later

internal import Glibc
internal import PacketWire

/// One connection: handshake, what the payload says, and the end. After each waking the socket's error is read first, then its
/// error queue, then the stream, because a call that returns an error hides it from the next; the first one counts.
final class TCPProbe: PollSource {
    private let job: ProbeJob
    private let attempt: Int
    private let context: ProbeContext
    private let finished: (ProbeOutcome) -> Void
    private var socket: ProbeSocket?
    private var token: Poller.Token = 0
    private var local: Endpoint?
    private var phase = Phase.connecting
    private var talk: ScriptPosition?
    private var request: [UInt8] = []
    private var received: [UInt8] = []
    private var receivedCount = 0
    private var fault: SystemFault?
    private var isClosed = false
    private var isWatchedForRoom = true
    private var began = Instant(nanoseconds: 0)
    private var restBegan = Instant(nanoseconds: 0)
    private var evidence = Evidence()

    private enum Phase { case connecting, resting, talking, trailing, over }

    /// How long something may follow an answer that should have been the end.
    private static let trail = Instant.Span.milliseconds(50)

    init(_ job: ProbeJob, attempt: Int, in context: ProbeContext, finished: @escaping (ProbeOutcome) -> Void) {
        self.job = job
        self.attempt = attempt
        self.context = context
        self.finished = finished
    }

    func start(at now: Instant) {
        began = now
        do throws(SystemFault) {
            let socket = try context.socket(for: job)
            self.socket = socket
            token = context.poller.add(self)
            if let refused = socket.connect(job.target) { throw refused }
            local = socket.local
            evidence.phase = .connect
            try context.poller.watch(socket.descriptor, for: [.readable, .writable], token, isNew: true)
            context.poller.schedule(token, at: Poller.now + job.deadlines.connect)
        } catch {
            evidence.fault = error
            conclude(Classifier.local(error, .tcp), at: now)
        }
    }

    func ready(_ what: Readiness, at now: Instant) {
        switch phase {
        case .connecting: shakeHands(what, at: now)
        case .resting: rest(at: now)
        case .talking, .trailing: talk(at: now)
        case .over: break
        }
    }

    func due(at now: Instant) {
        // What has come by now counts, however late the loop looks.
        switch phase {
        case .connecting:
            if let what = socket?.readiness, !what.isEmpty { shakeHands(what, at: now) }
            guard phase == .connecting else { return }
            conclude((.handshakeTimeout, .segmentsSent(0)), at: now)
        case .resting: beginTalk(at: now)
        case .talking:
            let before = (receivedCount, evidence.bytesSent)
            talk(at: now)
            guard phase == .talking, before == (receivedCount, evidence.bytesSent) else { return }
            if let fault, let verdict = verdict(on: fault) { return conclude(verdict, at: now) }
            conclude(
                Classifier.deadline(
                    unsent: talk?.outgoing.count ?? 0, hasAnswer: talk?.isInsideMessage ?? false,
                    isAcknowledged: isAcknowledged), at: now)
        case .trailing:
            talk(at: now)
            guard phase == .trailing else { return }
            if !awaitsEnd { return open(at: now) }
            if let fault, let verdict = verdict(on: fault) { return conclude(verdict, at: now) }
            conclude(Classifier.deadline(unsent: 0, hasAnswer: false, isAcknowledged: isAcknowledged), at: now)
        case .over: break
        }
    }

    private var isAcknowledged: Bool {
        guard let info = socket?.tcpInfo else { return false }
        return info.bytesAcknowledged >= UInt64(evidence.bytesSent) + 1
    }

    /// Keeps the first error, and the first ICMP message.
    private func noteErrors() {
        guard let socket else { return }
        if let error = socket.takeError(), fault == nil { fault = error }
        while let queued = socket.takeQueuedError() {
            if evidence.icmp == nil { evidence.icmp = queued.icmp }
            if fault == nil { fault = queued.fault }
        }
    }

    private func shakeHands(_ what: Readiness, at now: Instant) {
        noteErrors()
        if let fault { return refuseHandshake(fault, at: now) }
        guard what.contains(.writable), !what.contains(.error) else { return }
        evidence.phase = .payload
        evidence.handshake = now - began
        local = socket?.local
        switch job.payload {
        case .none, .bytes: return conclude((.open, .connected), at: now)
        case .keyed(let length):
            let (request, reply) = context.keyed(job, length: length, attempt: attempt)
            self.request = request
            talk = ScriptPosition(PayloadScript(asking: request, expecting: reply), as: .client)
        case .script(let script):
            request = script.steps[0].sender == .client ? script.steps[0].bytes : []
            talk = ScriptPosition(script, as: .client)
        }
        guard job.deadlines.rest > .zero else { return beginTalk(at: now) }
        phase = .resting
        restBegan = now
        context.poller.schedule(token, at: Poller.now + job.deadlines.rest)
        // Errors and resets alone: what is said meanwhile can wait.
        if let socket { try? context.poller.watch(socket.descriptor, for: [], token, isNew: false) }
    }

    /// Something ends the silence.
    private func rest(at now: Instant) {
        evidence.silence = now - restBegan
        noteErrors()
        if let fault, let verdict = verdict(on: fault) { conclude(verdict, at: now) }
    }

    private func beginTalk(at now: Instant) {
        if phase == .resting, let socket {
            evidence.silence = now - restBegan
            isWatchedForRoom = true
            try? context.poller.watch(socket.descriptor, for: [.readable, .writable], token, isNew: false)
        }
        phase = .talking
        setDeadline()
        talk(at: now)
    }

    private func refuseHandshake(_ fault: SystemFault, at now: Instant) {
        evidence.fault = fault
        conclude(
            Classifier.handshake(fault, evidence.icmp, target: job.target, isOwn: context.isOwn), at: now)
    }

    private func setDeadline() {
        let isSending = !(talk?.outgoing.isEmpty ?? true)
        // Not the turn's time: what the turn did before may have taken long.
        context.poller.schedule(token, at: Poller.now + (isSending ? job.deadlines.send : job.deadlines.receive))
    }

    // MARK: - After the handshake

    private func talk(at now: Instant) {
        noteErrors()
        var progressed = true
        while progressed, phase != .over, fault == nil || phase == .talking {
            progressed = false
            if fault == nil, send(at: now) { progressed = true }
            if phase == .over { return }
            if receive(at: now) { progressed = true }
        }
        guard phase != .over else { return }
        if phase == .talking, talk?.isComplete ?? false { trail(at: now) }
        if phase == .trailing { return endTrail(at: now) }
        guard phase == .talking else { return }
        if let fault, let verdict = verdict(on: fault) { return conclude(verdict, at: now) }
        if isClosed { return conclude(Classifier.end(hasAnswer: talk?.isInsideMessage ?? false), at: now) }
        watchForRoom()
    }

    private func verdict(on fault: SystemFault) -> Classifier.Verdict? {
        evidence.fault = fault
        return Classifier.established(
            fault, isSending: !(talk?.outgoing.isEmpty ?? true), hasAnswer: talk?.isInsideMessage ?? false)
    }

    private func watchForRoom() {
        let wants = !(talk?.outgoing.isEmpty ?? true)
        guard wants != isWatchedForRoom, let socket else { return }
        isWatchedForRoom = wants
        try? context.poller.watch(
            socket.descriptor, for: wants ? [.readable, .writable] : .readable, token, isNew: false)
    }

    /// True where bytes went out.
    private func send(at now: Instant) -> Bool {
        guard phase == .talking, let bytes = talk?.outgoing, !bytes.isEmpty, let socket else { return false }
        do throws(SystemFault) {
            let count = try socket.send(bytes)
            talk?.sent(count)
            evidence.bytesSent += count
            setDeadline()
            return true
        } catch {
            switch error.number {
            case EAGAIN, EINTR: break
            case ECONNRESET, EPIPE: if fault == nil { fault = error }
            case EHOSTUNREACH, ENETUNREACH, ENOPROTOOPT, ECONNREFUSED, EPROTO, ETIMEDOUT:
                if fault == nil { fault = error }
            default:
                evidence.fault = error
                conclude(Classifier.sending(error, .tcp), at: now)
            }
            return false
        }
    }

    /// True where bytes came.
    private func receive(at now: Instant) -> Bool {
        guard !isClosed, let socket else { return false }
        do throws(SystemFault) {
            let count = try socket.receive(into: &context.poller.buffer)
            guard count > 0 else {
                isClosed = true
                return false
            }
            take(context.poller.buffer[..<count], at: now)
            return phase != .over
        } catch {
            if error.number != EAGAIN, error.number != EINTR, fault == nil { fault = error }
            return false
        }
    }

    private func take(_ bytes: ArraySlice<UInt8>, at now: Instant) {
        if evidence.answer == nil {
            evidence.answer = Instant.Span(
                nanoseconds: (now - began).nanoseconds - (evidence.silence?.nanoseconds ?? 0))
        }
        received += bytes.prefix(max(0, 256 - received.count))
        let taken = talk?.take(bytes) ?? 0
        receivedCount += taken
        guard taken == bytes.count else {
            evidence.bytesReceived = receivedCount + bytes.count - taken
            return conclude((.payloadMismatch, .mismatch(offset: receivedCount)), at: now)
        }
        setDeadline()
    }

    /// Whether this side had the last word: then the other end's close says that it came.
    private var awaitsEnd: Bool {
        if case .script(let script) = job.payload { script.steps.last?.sender == .client } else { false }
    }

    private func endTrail(at now: Instant) {
        if isClosed || (fault != nil && !awaitsEnd) { return open(at: now) }
        if let fault, let verdict = verdict(on: fault) { conclude(verdict, at: now) }
    }

    private func trail(at now: Instant) {
        phase = .trailing
        context.poller.schedule(token, at: Poller.now + (awaitsEnd ? job.deadlines.receive : Self.trail))
        isWatchedForRoom = false
        if let socket { try? context.poller.watch(socket.descriptor, for: .readable, token, isNew: false) }
    }

    private func open(at now: Instant) {
        fault = nil
        evidence.fault = nil
        if case .script = job.payload { return conclude((.open, .played), at: now) }
        conclude((.open, .answered), at: now)
    }

    // MARK: - The end

    private func conclude(_ verdict: Classifier.Verdict, at now: Instant) {
        guard phase != .over else { return }
        phase = .over
        var detail = verdict.detail
        evidence.duration = now - began
        if evidence.phase != .local { readInfo() }
        if verdict.category == .handshakeTimeout { detail = .segmentsSent(evidence.sent) }
        if evidence.bytesReceived == 0 { evidence.bytesReceived = receivedCount }
        if verdict.category == .payloadMismatch || verdict.category == .payloadError {
            evidence.firstBytes = received
            evidence.guess = AnswerGuess.name(received, asked: request, key: context.session?.key)
        }
        context.poller.remove(token)
        socket?.close()
        finished(
            ProbeOutcome(
                job: job, finding: ProbeFinding(verdict.category, detail, evidence), local: local, attempt: attempt))
    }

    private func readInfo() {
        guard let info = socket?.tcpInfo else { return }
        evidence.retransmissions = Int(info.retransmissions)
        if evidence.phase == .connect { evidence.sent = Int(info.retransmissions) + 1 }
        evidence.bytesAcknowledged = max(0, Int(info.bytesAcknowledged) - 1)
        evidence.offered = context.offered
        evidence.offered?.dscp = job.trafficClass >> 2
        evidence.offered?.maximumSegmentSize = UInt16(exactly: info.offeredSegmentSize).flatMap { $0 > 0 ? $0 : nil }
    }
}
