// SPDX-License-Identifier: GPL-3.0-or-later

internal import Glibc
internal import PacketWire

/// One port by datagrams. The socket is not connected, so that an answer from another address than the target's is seen too. A
/// datagram is repeated twice, each time with another number, because one may be lost and the reflector answers each once.
final class UDPProbe: PollSource {
    private let job: ProbeJob
    private let attempt: Int
    private let context: ProbeContext
    private let pacer: Pacer
    private let finished: (ProbeOutcome) -> Void
    private var socket: ProbeSocket?
    private var token: Poller.Token = 0
    private var local: Endpoint?
    private var began = Instant(nanoseconds: 0)
    /// Steps of the script that are done; a keyed payload is a script of two steps.
    private var step = 0
    private var stepBegan = Instant(nanoseconds: 0)
    private var copies = 0
    private var copiesOfStep = 0
    private var requests: [[UInt8]] = []
    private var answers: [[UInt8]] = []
    private var refusal: Classifier.Verdict?
    private var mismatch: Classifier.Verdict?
    /// Nothing more is sent, and the end is near.
    private var isWaning = false
    private var isOver = false
    private var evidence = Evidence()

    init(
        _ job: ProbeJob, attempt: Int, in context: ProbeContext, _ pacer: Pacer,
        finished: @escaping (ProbeOutcome) -> Void
    ) {
        self.job = job
        self.attempt = attempt
        self.context = context
        self.pacer = pacer
        self.finished = finished
    }

    private static let copiesOfAttempt = 3
    /// Numbers that one attempt may use.
    static let numbersOfAttempt = 4

    private var quarter: Instant.Span { Instant.Span(nanoseconds: job.deadlines.receive.nanoseconds / 4) }

    func start(at now: Instant) {
        began = now
        do throws(SystemFault) {
            let socket = try context.socket(for: job)
            self.socket = socket
            token = context.poller.add(self)
            local = socket.local
            if let source = context.source(to: job.target), let port = local?.port, job.source == nil {
                local = source.with(port: port)
            }
            try context.poller.watch(socket.descriptor, for: .readable, token, isNew: true)
        } catch {
            evidence.fault = error
            return conclude(Classifier.local(error, .udp), at: now)
        }
        evidence.phase = .payload
        beginStep(at: now)
    }

    private var script: PayloadScript? { if case .script(let script) = job.payload { script } else { nil } }

    /// Sends the datagrams that stand next, up to the one that an answer is due to.
    private func beginStep(at now: Instant) {
        stepBegan = Poller.now
        copiesOfStep = 0
        if let script {
            while step + 1 < script.steps.count, script.steps[step + 1].sender == .client {
                guard send(script.steps[step].bytes, at: now) else { return }
                step += 1
            }
        }
        sendCopy(at: now)
    }

    private func sendCopy(at now: Instant) {
        let bytes: [UInt8]
        switch job.payload {
        case .none(let length): bytes = [UInt8](repeating: 0, count: length)
        case .bytes(let payload): bytes = payload
        case .script(let script): bytes = script.steps[step].bytes
        case .keyed(let length):
            let pair = context.keyed(job, length: length, attempt: attempt * Self.numbersOfAttempt + copiesOfStep)
            bytes = pair.request
            answers.append(pair.reply)
        }
        requests = [bytes]
        copiesOfStep += 1
        guard send(bytes, at: now) else { return }
        if let script, step + 1 == script.steps.count { return conclude((.open, .played), at: now) }
        context.poller.schedule(token, at: nextTime)
    }

    private var nextTime: Instant {
        guard copiesOfStep < Self.copiesOfAttempt else { return stepBegan + job.deadlines.receive }
        return stepBegan + Instant.Span(nanoseconds: quarter.nanoseconds * Int64(copiesOfStep))
    }

    /// False where that was the end.
    private func send(_ bytes: [UInt8], at now: Instant) -> Bool {
        guard let socket else { return false }
        // An error that came meanwhile would otherwise be the result of sending.
        noteErrors(at: now)
        guard !isOver else { return false }
        do throws(SystemFault) {
            evidence.bytesSent += try socket.send(bytes, to: job.target)
            copies += 1
        } catch {
            if error.number == EAGAIN || error.number == EINTR { return true }
            if error.number == EMSGSIZE { evidence.linkMTU = socket.takeQueuedError()?.linkMTU }
            let isLater = copies > 0 && error.number != EPERM && error.number != EACCES
            if evidence.fault == nil { evidence.fault = error }
            if isLater { return true }
            conclude(Classifier.sending(error, .udp), at: now)
            return false
        }
        return true
    }

    func due(at now: Instant) {
        noteErrors(at: now)
        guard !isOver else { return }
        receive(at: now)
        guard !isOver else { return }
        if isWaning || copiesOfStep >= Self.copiesOfAttempt { return giveUp(at: now) }
        let slot = pacer.take(at: now)
        if slot > now { return context.poller.schedule(token, at: slot) }
        if refusal != nil || mismatch != nil { wane(at: now) }
        let isLast = isWaning
        sendCopy(at: now)
        if isLast, !isOver { context.poller.schedule(token, at: now + quarter) }
    }

    /// A refusal was repeated or stands alone: what could still come has a quarter of the time.
    private func wane(at now: Instant) { isWaning = true }

    func ready(_ what: Readiness, at now: Instant) {
        noteErrors(at: now)
        guard !isOver else { return }
        receive(at: now)
    }

    private func noteErrors(at now: Instant) {
        guard let socket else { return }
        let pending = socket.takeError()
        var isTold = false
        while let queued = socket.takeQueuedError() {
            isTold = true
            note(queued.fault, queued.icmp, at: now)
            if isOver { return }
        }
        if let pending, !isTold { note(pending, nil, at: now) }
    }

    private func note(_ fault: SystemFault, _ icmp: ICMPEvidence?, at now: Instant) {
        // A smaller MTU on the way: the next copy is sent in fragments that fit (RFC 1191, RFC 8201).
        guard refusal == nil, job.isWhole || fault.number != EMSGSIZE else { return }
        let verdict = Classifier.datagram(fault, icmp, target: job.target, isOwn: context.isOwn)
        if evidence.fault == nil { evidence.fault = fault }
        evidence.icmp = icmp
        refusal = verdict
        if verdict.category != .payloadRefused { conclude(verdict, at: now) }
    }

    private func receive(at now: Instant) {
        while !isOver, let socket {
            let length: Int
            let from: Endpoint
            do throws(SystemFault) {
                (length, from, _, _) = try socket.receiveDatagram(into: &context.poller.buffer)
            } catch {
                if error.number != EAGAIN, error.number != EINTR { note(error, nil, at: now) }
                return
            }
            take(Array(context.poller.buffer[..<min(length, context.poller.buffer.count)]), from: from, at: now)
        }
    }

    private var isFromTarget: (Endpoint) -> Bool {
        { $0.address == self.job.target.address && $0.port == self.job.target.port }
    }

    private func take(_ bytes: [UInt8], from: Endpoint, at now: Instant) {
        let isAnswer = isExpected(bytes)
        guard isFromTarget(from) else {
            // Bytes of strangers say nothing, unless only the reflector can have made them.
            if isAnswer, job.payload.isKeyed {
                evidence.from = from
                mismatch = (.payloadMismatch, .wrongSource)
            }
            return
        }
        if evidence.answer == nil { evidence.answer = now - began }
        evidence.bytesReceived += bytes.count
        if isAnswer { return advance(at: now) }
        guard mismatch == nil else { return }
        evidence.firstBytes = Array(bytes.prefix(256))
        evidence.guess = AnswerGuess.name(
            bytes, asked: requests.last ?? [], key: job.payload.isKeyed ? context.session?.key : nil)
        mismatch = (.payloadMismatch, .mismatch(offset: commonPrefix(bytes)))
    }

    private func isExpected(_ bytes: [UInt8]) -> Bool {
        switch job.payload {
        case .none, .bytes: true
        case .keyed: answers.contains(bytes)
        case .script(let script): step + 1 < script.steps.count && script.steps[step + 1].bytes == bytes
        }
    }

    private func commonPrefix(_ bytes: [UInt8]) -> Int {
        let expected = script.map { step + 1 < $0.steps.count ? [$0.steps[step + 1].bytes] : [] } ?? answers
        return expected.map { zip($0, bytes).prefix { $0 == $1 }.count }.max() ?? 0
    }

    private func advance(at now: Instant) {
        evidence.isFlapping = refusal != nil
        switch job.payload {
        case .none, .bytes: conclude((.open, .replied), at: now)
        case .keyed: conclude((.open, .answered), at: now)
        case .script(let script):
            step += 2
            guard step < script.steps.count else { return conclude((.open, .played), at: now) }
            beginStep(at: now)
        }
    }

    private func giveUp(at now: Instant) {
        conclude(refusal ?? mismatch ?? (.payloadTimeout, .copiesSent(copies)), at: now)
    }

    private func conclude(_ verdict: Classifier.Verdict, at now: Instant) {
        guard !isOver else { return }
        isOver = true
        evidence.duration = now - began
        evidence.sent = copies
        if verdict.category == .open { evidence.fault = nil }
        context.poller.remove(token)
        socket?.close()
        finished(
            ProbeOutcome(
                job: job, finding: ProbeFinding(verdict.category, verdict.detail, evidence), local: local,
                attempt: attempt))
    }
}

extension ProbeJob.Payload {
    package var isKeyed: Bool { if case .keyed = self { true } else { false } }
}

/// So many datagrams in a second, evenly.
final class Pacer {
    private let gap: Instant.Span
    private var next = Instant(nanoseconds: 0)

    init(perSecond: Int) { gap = Instant.Span(nanoseconds: 1_000_000_000 / Int64(max(1, perSecond))) }

    /// Now where a datagram may go out, which is then counted; else when to ask again.
    func take(at now: Instant) -> Instant {
        guard next <= now else { return next }
        // What was not used a moment ago may be used now, but no burst is saved up.
        next = max(next, Instant(nanoseconds: now.nanoseconds - 2 * gap.nanoseconds)) + gap
        return now
    }
}
