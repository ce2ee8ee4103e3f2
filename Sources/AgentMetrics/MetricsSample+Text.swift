// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import FirewallEngine
import FirewallPolicy

extension MetricsSample {
    /// All metric families of the agent; Config/grafana shows them.
    package func text(_ format: ExpositionFormat = .prometheus) -> String {
        var text = ExpositionText(format)
        addAgent(&text)
        addPolicy(&text)
        addPackets(&text)
        addFastPath(&text)
        addFloods(&text)
        addAnswers(&text)
        addReasons(&text)
        addEvents(&text)
        addConnections(&text)
        addQueues(&text)
        return text.finished()
    }

    private func addAgent(_ text: inout ExpositionText) {
        text.family("portreeve_build_info", .info, "The version of the running agent.")
        text.sample(["version": version], 1)
        text.family("portreeve_start_time_seconds", .gauge, "When the agent began, in seconds since 1970.")
        text.sample(UInt64(clamping: startedAt))
        text.family("portreeve_resident_memory_bytes", .gauge, "Memory of the agent that is in RAM.")
        text.sample(residentBytes)
        text.family("portreeve_warnings", .gauge, "Complaints that `portreeve status` shows; 0 is good.")
        text.sample(UInt64(warnings))
        if let areRulesComplete {
            text.family(
                "portreeve_rules_complete", .gauge,
                "1 where the rules in place give the queues all packets that the policy is about.")
            text.sample(areRulesComplete ? 1 : 0)
        }
    }

    private func addPolicy(_ text: inout ExpositionText) {
        text.family(
            "portreeve_policy_info", .info,
            "How the policy in force decides, what happens when it cannot, and SHA-256 of what `portreeve check --print` prints of it."
        )
        text.sample(
            [
                "mode": mode.word, "failure_engine": failure.engine.word, "failure_sanity": failure.sanity.word,
                "hash": policyHash,
            ], 1)
        text.family("portreeve_policy_epoch", .gauge, "Number of the policy in force; each good reload adds one.")
        text.sample(UInt64(policyEpoch))
        text.family("portreeve_policy_rules", .gauge, "Rules of the policy in force.")
        text.sample(UInt64(policyRules))
        text.family(
            "portreeve_policy_loaded_time_seconds", .gauge,
            "When the policy in force was loaded, in seconds since 1970.")
        text.sample(UInt64(clamping: policyLoadedAt))
        text.family(
            "portreeve_policy_last_reload_successful", .gauge,
            "0 while the files on disk are refused and an older policy rules.")
        text.sample(wasLastReloadRefused ? 0 : 1)
        text.family(
            "portreeve_policy_fallback", .gauge,
            "1 while the last policy that was in force rules because the one on disk could not be taken at the start.")
        text.sample(isPolicyFallback ? 1 : 0)
    }

    private func addPackets(_ text: inout ExpositionText) {
        perQueue(&text, "portreeve_packets_total", .counter, "Packets judged.") { $0.judged }
        text.family(
            "portreeve_verdicts_total", .counter, "Verdicts given; together they are the packets judged.")
        for queue in queues {
            text.sample(["queue": queue.label, "verdict": "accept"], queue.passed)
            text.sample(["queue": queue.label, "verdict": "drop"], queue.judged &- queue.passed)
        }
        perWorker(
            &text, "portreeve_untouched_packets_total", .counter,
            "Packets accepted without being judged by rules or state: ignored interfaces, the host's own group packets."
        ) { $0.counters.untouched }
        perWorker(&text, "portreeve_fragments_total", .counter, "Fragments judged.") { $0.counters.fragments }
        perWorker(
            &text, "portreeve_held_fragments_total", .counter,
            "Fragments that had to wait for their datagram's first one."
        ) { $0.heldEver }
        perWorker(
            &text, "portreeve_bytes_not_compared_total", .counter,
            "Bytes of TCP that no retransmission of them can be compared with, where the policy compares them."
        ) { $0.counters.bytesNotCompared }
        text.family("portreeve_hook_packets_total", .counter, "Packets by the netfilter hook that delivered them.")
        for hook: Hook in [.prerouting, .input, .forward, .output, .postrouting] {
            text.sample(
                ["hook": hook.word], workers.reduce(0) { $0 &+ $1.counters.hooks[Int(hook.rawValue)] })
        }
    }

    private func addFloods(_ text: inout ExpositionText) {
        text.family("portreeve_flooded_listeners", .gauge, "Listeners to which SYNs get no entry now.")
        text.sample(UInt64(floods.listeners.count))
        text.family(
            "portreeve_admitted_stateless_total", .counter,
            "Packets to and from flooded listeners that were accepted without an entry.")
        text.sample(floods.admittedStateless)
        text.family(
            "portreeve_opened_by_cookies_total", .counter, "Connections to flooded listeners that this host opened.")
        text.sample(floods.opened)
        text.family(
            "portreeve_openings_in_kernel_total", .counter,
            "SYNs to flooded listeners that passed before the queue, beside the packets judged.")
        text.sample(floods.inKernel)
    }

    private func addAnswers(_ text: inout ExpositionText) {
        text.family("portreeve_answers_total", .counter, "Answers to refused packets.")
        text.sample(["reply": "reset"], answers.reset)
        text.sample(["reply": "unreachable"], answers.unreachable)
        text.sample(["reply": "prohibited"], answers.prohibited)
        text.family(
            "portreeve_answers_missing_total", .counter,
            "Refused packets that were to be answered and were not: beyond the rate, such as nothing may answer, not taken by the kernel."
        )
        text.sample(["why": "rate"], answers.withheld)
        text.sample(["why": "unanswerable"], answers.unanswerable)
        text.sample(["why": "unsent"], answers.unsent)
    }

    /// Beside the packets judged.
    private func addFastPath(_ text: inout ExpositionText) {
        text.family(
            "portreeve_fast_path_active", .gauge, "1 while plain segments of connections may pass in the kernel.")
        text.sample(fastPath.state == .active ? 1 : 0)
        text.family("portreeve_fast_path_flows", .gauge, "Connections whose plain segments pass in the kernel.")
        text.sample(fastPath.flows)
        text.family(
            "portreeve_fast_path_bypassed_flows", .gauge, "Those among them that a Bypass rule with offload lets by.")
        text.sample(fastPath.bypassed)
        text.family(
            "portreeve_fast_path_packets_total", .counter, "Packets that passed in the kernel, beside those judged.")
        text.sample(fastPath.packets)
        text.family("portreeve_fast_path_bytes_total", .counter, "Their bytes, from the IP header on.")
        text.sample(fastPath.bytes)
        text.family(
            "portreeve_fast_path_full_total", .counter, "How often a connection was left in the queue for want of room."
        )
        text.sample(fastPath.full)
    }

    private func addReasons(_ text: inout ExpositionText) {
        perReason(
            &text, "portreeve_dropped_packets_total", .counter,
            "Packets dropped, by reason; each is written, pending, silenced or lost as an event."
        ) { $0.dropped }
        perReason(
            &text, "portreeve_drop_events_written_total", .counter, "Dropped packets that the event file reports."
        ) { $0.written }
        perReason(
            &text, "portreeve_drop_events_pending", .gauge, "Dropped packets whose event is on its way to the file."
        ) { $0.pending }
        perReason(
            &text, "portreeve_drop_events_silenced_total", .counter,
            "Dropped packets of which a setting wants no event."
        ) { $0.silenced }
        perReason(
            &text, "portreeve_drop_events_lost_total", .counter, "Dropped packets whose event could not be written."
        ) { $0.lost }
        text.family(
            "portreeve_refused_packets_passed_total", .counter,
            "Packets refused for a reason that passed all the same: tap mode, or a failure setting.")
        for row in reasons {
            let place = Int(row.reason.rawValue)
            text.sample(
                ["reason": row.reason.row.slug], workers.reduce(0) { $0 &+ $1.counters.refusedButPassed[place] })
        }
        addReconnaissance(&text)
    }

    private func addEvents(_ text: inout ExpositionText) {
        perOutput(&text, "portreeve_events_total", .counter, "Events of all kinds handed to the output.") {
            $0.received
        }
        perOutput(
            &text, "portreeve_events_written_total", .counter,
            "Events that the output took, folded ones counted singly."
        ) { $0.written }
        perOutput(
            &text, "portreeve_events_folded_total", .counter, "Of those, events that share the record of another."
        ) { $0.written &- min($0.written, $0.records) }
        perOutput(&text, "portreeve_event_records_total", .counter, "Records that the output took.") { $0.records }
        perOutput(
            &text, "portreeve_events_merged_total", .counter,
            "Events that became part of a coarser record because the output's budget was spent."
        ) { $0.merged }
        perOutput(&text, "portreeve_events_pending", .gauge, "Events in memory, and in the spool on disk.") {
            $0.pending
        }
        perOutput(&text, "portreeve_events_lost_total", .counter, "Events that the output never took.") { $0.lost }
        perOutput(&text, "portreeve_event_output_writable", .gauge, "0 while the output takes no events.") {
            $0.isInTrouble ? 0 : 1
        }
    }

    private func perOutput(
        _ text: inout ExpositionText, _ name: String, _ kind: ExpositionText.Kind, _ help: String,
        _ value: (OutputSample) -> UInt64
    ) {
        text.family(name, kind, help)
        for output in outputs { text.sample(["output": output.name], value(output)) }
    }

    private func addReconnaissance(_ text: inout ExpositionText) {
        text.family(
            "portreeve_scan_notices_total", .counter, "Sources told of as exploring this host, by what they do.")
        for reason in [DropReason.portScan, .osFingerprint, .nullScan, .synfinScan, .xmasScan] {
            text.sample(
                ["reason": reason.row.slug], workers.reduce(0) { $0 &+ $1.counters.noticed[Int(reason.rawValue)] })
        }
        text.family("portreeve_scanners_known", .gauge, "Sources told of as exploring this host in the last minutes.")
        text.sample(UInt64(scannersKnown))
        text.family("portreeve_blocked_sources", .gauge, "Sources of which every packet is dropped.")
        text.sample(UInt64(blockedSources))
    }

    private func addConnections(_ text: inout ExpositionText) {
        text.family("portreeve_connections", .gauge, "Connections by protocol and state.")
        for row in connections { text.sample(["protocol": row.proto, "state": row.state], row.connections) }
        text.family("portreeve_connection_table_entries", .gauge, "Entries in use of the connection table.")
        for row in tables { text.sample(["protocol": row.proto], row.entries) }
        text.family("portreeve_connection_table_limit", .gauge, "Entries that the policy allows (engine.limits).")
        for row in tables { text.sample(["protocol": row.proto], row.limit) }
        text.family("portreeve_table_memory_bytes", .gauge, "Memory of the tables of all workers.")
        text.sample(tableMemory)
        if let tableMemoryLimit {
            text.family(
                "portreeve_table_memory_limit_bytes", .gauge,
                "The most that the tables may take (engine.limits.memory); absent where there is no bound.")
            text.sample(tableMemoryLimit)
        }
    }

    private func addQueues(_ text: inout ExpositionText) {
        text.family(
            "portreeve_queue_info", .gauge,
            "What comes to the queue: openings, fragments, datagrams, or the rest. What is counted by worker has the number of its "
                + "queue for the rest.")
        for queue in queues { text.sample(["queue": queue.label, "kind": queue.kind.word], 1) }
        perQueue(&text, "portreeve_queue_waiting_packets", .gauge, "Packets in the kernel that wait for a verdict.") {
            $0.waiting
        }
        perQueue(&text, "portreeve_queue_length_packets", .gauge, "Packets that may wait (queue.length).") { $0.length }
        text.family(
            "portreeve_queue_lost_packets_total", .counter,
            "Packets that got no verdict of the agent; the kernel drops them, or passes them if it fails open. A queue that is "
                + "kept over a restart goes on counting.")
        for queue in queues {
            for loss in queue.losses { text.sample(["queue": queue.label, "cause": loss.cause], loss.packets) }
        }
        perQueue(
            &text, "portreeve_queue_overflows_total", .counter,
            "Times that the queue may have been full while it fails open: the kernel then passed packets that nobody "
                + "judged, and counted none of them."
        ) { $0.overflows }
        perWorker(
            &text, "portreeve_worker_turns_total", .counter, "Turns of the worker's loop, four a second at the least."
        ) { $0.turns }
        text.family(
            "portreeve_verdict_latency_seconds", .histogram,
            "Time from receiving a packet to having sent its verdict; up to a second behind the other metrics.")
        for worker in workers { text.samples(worker.label, worker.latency) }
    }

    private func perQueue(
        _ text: inout ExpositionText, _ name: String, _ kind: ExpositionText.Kind, _ help: String,
        _ value: (QueueSample) -> UInt64
    ) {
        text.family(name, kind, help)
        for queue in queues { text.sample(["queue": queue.label], value(queue)) }
    }

    private func perWorker(
        _ text: inout ExpositionText, _ name: String, _ kind: ExpositionText.Kind, _ help: String,
        _ value: (WorkerSample) -> UInt64
    ) {
        text.family(name, kind, help)
        for worker in workers { text.sample(["queue": worker.label], value(worker)) }
    }

    private func perReason(
        _ text: inout ExpositionText, _ name: String, _ kind: ExpositionText.Kind, _ help: String,
        _ value: (ReasonCount) -> UInt64
    ) {
        text.family(name, kind, help)
        for row in reasons { text.sample(["reason": row.reason.row.slug], value(row)) }
    }
}

extension QueueSample {
    fileprivate var label: String { "\(number)" }
}

extension WorkerSample {
    fileprivate var label: String { "\(number)" }
}
