// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy

/// Settings that cannot both be meant.
extension PolicyDraft {
    func checkSettings(_ sink: inout DiagnosticSink) {
        checkCopyRange(&sink)
        checkFloodNumbers(&sink)
        checkLimits(&sink)
        checkScheduleCount(&sink)
        checkBridge(&sink)
        checkReversePath(&sink)
        checkReplies(&sink)
        checkMemory(&sink)
    }

    /// All that passes through a bridge is forwarded; without an inside neither direction would be known.
    private func checkBridge(_ sink: inout DiagnosticSink) {
        guard document.queue.family == .bridge, document.interfaces.inside.isEmpty, let place = places["queue.family"]
        else { return }
        sink.error(
            at: place, found: "bridge beside an empty interfaces.inside",
            expected: "the ports of the bridge on the inside, such as interfaces: { inside: [eth1] }")
    }

    /// Frames come in by a port of the bridge, and routes lead to the bridge.
    private func checkReversePath(_ sink: inout DiagnosticSink) {
        guard document.engine.sanity.denyReversePath, document.queue.family == .bridge,
            let place = places["engine.sanity.reverse-path"]
        else { return }
        sink.error(
            at: place, found: "deny beside queue.family: bridge",
            expected: "allow: no route leads to a port of a bridge")
    }

    /// An answer is sent as this host's own traffic is routed, and says where it comes from.
    private func checkReplies(_ sink: inout DiagnosticSink) {
        guard document.queue.family == .bridge, document.unmatched.reply != .none, let place = places["default.reply"]
        else { return }
        sink.error(
            at: place, found: "\(document.unmatched.reply.word) beside queue.family: bridge",
            expected: "none: a bridge has no address and no route to answer from")
    }

    private func checkFloodNumbers(_ sink: inout DiagnosticSink) {
        let queue = document.queue
        guard case .from(let first) = queue.floodNumbers, let place = places["queue.flood-numbers"] else { return }
        let count = QueueKind.floods.count * queue.numbers.count
        guard queue.family == .ip else {
            return sink.error(
                at: place, found: "\(first) beside family: bridge",
                expected: "auto or off: all frames of a bridge come to queue.numbers")
        }
        guard QueueLayout(queue.numbers, queue.floodNumbers) == nil else { return }
        sink.error(
            at: place, found: "\(first), of \(count) queues",
            expected: "\(count) numbers up to 65535 that are not among queue.numbers")
    }

    /// A check that reads payload cannot work on a part of it: every longer packet would be Invalid Packet Info.
    private func checkCopyRange(_ sink: inout DiagnosticSink) {
        guard document.queue.copy != .full, let place = places["queue.copy-bytes"] else { return }
        let check: String
        if document.engine.sanity.verifyTCPChecksum {
            check = "engine.sanity.verify-tcp-checksum: true"
        } else if document.engine.antiEvasion.checksum != .allow {
            check =
                "engine.anti-evasion with checksum: \(ValueForm.posture.print(document.engine.antiEvasion.checksum))"
        } else {
            return
        }
        sink.error(
            at: place, found: "a part of each packet beside \(check)", expected: "full: the check needs all bytes")
    }

    /// What is reserved whole must leave room for connections: a thousand of them.
    private func checkMemory(_ sink: inout DiagnosticSink) {
        let place = places["engine.limits.memory"] ?? places["engine.limits.fragmented-datagrams"]
        guard let limit = document.engine.limits.memory, let place else { return }
        let needed =
            Engine.fixedMemory(document, workers: document.queue.numbers.count)
            + UInt64(1_000 * ConnectionTable.bytesPerConnection)
        guard limit < needed else { return }
        sink.error(
            at: place, found: "a memory of \(limit >> 20) MiB for all tables",
            expected:
                "at least \((needed >> 20) + 1) MiB: fragments, retransmissions and scanners take most of it, before the "
                + "first connection",
            suggestion: "raise engine.limits.memory, or lower engine.limits.fragmented-datagrams")
    }

    private func checkScheduleCount(_ sink: inout DiagnosticSink) {
        guard schedules.count > Policy.scheduleLimit else { return }
        sink.error(
            at: schedules[Policy.scheduleLimit].place, found: "\(schedules.count) schedules",
            expected: "at most \(Policy.scheduleLimit)", suggestion: "several rules can share one")
    }

    private func checkLimits(_ sink: inout DiagnosticSink) {
        guard !document.stateful.tcpEnabled else { return }
        let limits = [
            ("incoming-per-computer", document.stateful.limits.incoming),
            ("outgoing-per-computer", document.stateful.limits.outgoing),
            ("half-open-per-computer", document.stateful.limits.halfOpen),
            ("half-open", document.stateful.limits.halfOpenInAll),
        ]
        for (key, limit) in limits where limit != nil {
            guard let place = places["stateful.tcp.limits.\(key)"] else { continue }
            sink.error(
                at: place, found: "a limit of connections beside stateful.tcp.enabled: false",
                expected: "unlimited: without state no connection is counted")
        }
    }
}
