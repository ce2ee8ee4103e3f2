// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy

extension StatusReport {
    /// As the control socket and `status --json` show it.
    package var json: JSONValue {
        [
            "version": .text(agent.version), "pid": .count(agent.processIdentifier), "uptime": .count(uptimeSeconds),
            "mode": .text(mode.word),
            "failure": ["engine": .text(failure.engine.word), "sanity": .text(failure.sanity.word)],
            "policy": policy.json, "queues": .list(queues.map(\.json)), "reasons": .list(reasons.map(\.json)),
            "outputs": .list(outputs.map(\.json)),
            "connections": connections.json, "fast_path": fastPath.json, "floods": floods.json,
            "answers": answers.json, "blocked_sources": .count(blockedSources),
            "hooks": .list(hooks.map(\.json)),
            "fragments_visible": fragmentsVisible.map { .bool($0) } ?? .null, "warnings": .texts(warnings),
        ]
    }

    init(_ reader: MessageReader) throws(ControlFailure) {
        agent = AgentIdentity(version: try reader.text("version"), processIdentifier: try reader.integer("pid"))
        uptimeSeconds = try reader.integer("uptime")
        mode = try reader.word("mode", Mode.init(word:))
        let failures = try reader.object("failure")
        failure.engine = try failures.word("engine", FailureMode.init(word:))
        failure.sanity = try failures.word("sanity", FailureMode.init(word:))
        policy = try PolicyStatus(reader.object("policy"))
        queues = try reader.list("queues", QueueStatus.init)
        reasons = try reader.list("reasons", ReasonCount.init)
        outputs = try reader.list("outputs", OutputStatus.init)
        connections = try ConnectionCounts(reader.object("connections"))
        fastPath = try FastPathStatus(reader.object("fast_path"))
        floods = try FloodStatus(reader.object("floods"))
        answers = try AnswerStatus(reader.object("answers"))
        blockedSources = try reader.integer("blocked_sources")
        hooks = try reader.list("hooks", HookCount.init)
        fragmentsVisible = try reader.optional("fragments_visible", reader.bool)
        warnings = try reader.texts("warnings")
    }
}

extension FastPathStatus {
    fileprivate var json: JSONValue {
        [
            "state": .text(state.rawValue), "why": .optional(why), "flows": .count(flows), "bypassed": .count(bypassed),
            "admitted": .count(admitted), "full": .count(full), "packets": .count(packets), "bytes": .count(bytes),
        ]
    }

    fileprivate init(_ reader: MessageReader) throws(ControlFailure) {
        state = try reader.word("state", State.init(rawValue:))
        why = try reader.optional("why", reader.text)
        flows = try reader.integer("flows")
        bypassed = try reader.integer("bypassed")
        admitted = try reader.integer("admitted")
        full = try reader.integer("full")
        packets = try reader.integer("packets")
        bytes = try reader.integer("bytes")
    }
}

extension FloodStatus {
    fileprivate var json: JSONValue {
        [
            "listeners": .list(listeners.map(\.json)), "admitted_stateless": .count(admittedStateless),
            "opened": .count(opened), "in_kernel": .count(inKernel),
        ]
    }

    fileprivate init(_ reader: MessageReader) throws(ControlFailure) {
        listeners = try reader.list("listeners", FloodedListenerStatus.init)
        admittedStateless = try reader.integer("admitted_stateless")
        opened = try reader.integer("opened")
        inKernel = try reader.integer("in_kernel")
    }
}

extension AnswerStatus {
    fileprivate var json: JSONValue {
        [
            "reset": .count(reset), "unreachable": .count(unreachable), "prohibited": .count(prohibited),
            "withheld": .count(withheld), "unanswerable": .count(unanswerable), "unsent": .count(unsent),
        ]
    }

    fileprivate init(_ reader: MessageReader) throws(ControlFailure) {
        reset = try reader.integer("reset")
        unreachable = try reader.integer("unreachable")
        prohibited = try reader.integer("prohibited")
        withheld = try reader.integer("withheld")
        unanswerable = try reader.integer("unanswerable")
        unsent = try reader.integer("unsent")
    }
}

extension FloodedListenerStatus {
    fileprivate var json: JSONValue {
        ["listener": .text(listener), "half_open": .count(halfOpen), "passed": .count(passed)]
    }

    fileprivate init(_ reader: MessageReader) throws(ControlFailure) {
        listener = try reader.text("listener")
        halfOpen = try reader.integer("half_open")
        passed = try reader.integer("passed")
    }
}

extension PolicyStatus {
    fileprivate var json: JSONValue {
        [
            "files": .texts(files), "epoch": .count(epoch), "rules": .count(ruleCount), "built_in": .texts(builtIn),
            "loaded_at": .count(loadedAt), "last_reload_error": .optional(lastReloadError),
            "fallback": .optional(fallback), "taken_back_in": takenBackIn.map { .count($0) } ?? .null,
            "copy": .optional(copy),
        ]
    }

    fileprivate init(_ reader: MessageReader) throws(ControlFailure) {
        files = try reader.texts("files")
        epoch = try reader.integer("epoch")
        ruleCount = try reader.integer("rules")
        builtIn = try reader.texts("built_in")
        loadedAt = try reader.integer("loaded_at")
        lastReloadError = try reader.optional("last_reload_error", reader.text)
        fallback = try reader.optional("fallback", reader.text)
        takenBackIn = try reader.optional("taken_back_in") { name throws(ControlFailure) in try reader.integer(name) }
        copy = try reader.optional("copy", reader.text)
    }
}

extension QueueStatus {
    fileprivate var json: JSONValue {
        [
            "number": .count(number), "kind": .text(kind.word), "packets": .count(packets), "passed": .count(passed),
            "dropped": .count(dropped), "held": .count(held), "queued_now": .count(queuedNow),
            "kernel_queue_drops": .count(kernelQueueDrops),
            "kernel_socket_drops": .count(kernelSocketDrops), "refused_verdicts": .count(refusedVerdicts),
            "overflows": .count(overflows),
        ]
    }

    fileprivate init(_ reader: MessageReader) throws(ControlFailure) {
        number = try reader.integer("number")
        kind = try reader.word("kind", QueueKind.init(word:))
        packets = try reader.integer("packets")
        passed = try reader.integer("passed")
        dropped = try reader.integer("dropped")
        held = try reader.integer("held")
        queuedNow = try reader.integer("queued_now")
        kernelQueueDrops = try reader.integer("kernel_queue_drops")
        kernelSocketDrops = try reader.integer("kernel_socket_drops")
        refusedVerdicts = try reader.integer("refused_verdicts")
        overflows = try reader.integer("overflows")
    }
}

extension ReasonCount {
    fileprivate var json: JSONValue {
        [
            "reason": .text(reason.row.slug), "id": .count(reason.row.number), "dropped": .count(dropped),
            "would_drop": .count(wouldDrop), "written": .count(written), "pending": .count(pending),
            "silenced": .count(silenced), "lost": .count(lost),
        ]
    }

    fileprivate init(_ reader: MessageReader) throws(ControlFailure) {
        reason = try reader.word("reason", DropReason.init(slug:))
        dropped = try reader.integer("dropped")
        wouldDrop = try reader.integer("would_drop")
        written = try reader.integer("written")
        pending = try reader.integer("pending")
        silenced = try reader.integer("silenced")
        lost = try reader.integer("lost")
    }
}

extension OutputStatus {
    fileprivate var json: JSONValue {
        [
            "name": .text(name), "format": .text(format), "target": .text(target), "received": .count(received),
            "written": .count(written), "pending": .count(pending), "lost": .count(lost), "records": .count(records),
            "merged": .count(merged), "trouble": .optional(trouble),
        ]
    }

    fileprivate init(_ reader: MessageReader) throws(ControlFailure) {
        name = try reader.text("name")
        format = try reader.text("format")
        target = try reader.text("target")
        received = try reader.integer("received")
        written = try reader.integer("written")
        pending = try reader.integer("pending")
        lost = try reader.integer("lost")
        records = try reader.integer("records")
        merged = try reader.integer("merged")
        trouble = try reader.optional("trouble", reader.text)
    }
}

extension ConnectionCounts {
    fileprivate var json: JSONValue {
        [
            "tcp": .count(tcp), "udp": .count(udp), "icmp": .count(icmp), "refused": .count(refused),
            "fragmented_datagrams": .count(fragmentedDatagrams), "tcp_states": .list(tcpStates.map(\.json)),
            "limits": [
                "tcp": .count(tcpLimit), "udp": .count(udpLimit), "icmp": .count(icmpLimit),
                "fragmented_datagrams": .count(fragmentedDatagramsLimit),
            ],
        ]
    }

    fileprivate init(_ reader: MessageReader) throws(ControlFailure) {
        tcp = try reader.integer("tcp")
        udp = try reader.integer("udp")
        icmp = try reader.integer("icmp")
        refused = try reader.integer("refused")
        fragmentedDatagrams = try reader.integer("fragmented_datagrams")
        tcpStates = try reader.list("tcp_states", StateCount.init)
        let limits = try reader.object("limits")
        tcpLimit = try limits.integer("tcp")
        udpLimit = try limits.integer("udp")
        icmpLimit = try limits.integer("icmp")
        fragmentedDatagramsLimit = try limits.integer("fragmented_datagrams")
    }
}

extension StateCount {
    fileprivate var json: JSONValue { ["state": .text(state), "count": .count(count)] }

    fileprivate init(_ reader: MessageReader) throws(ControlFailure) {
        state = try reader.text("state")
        count = try reader.integer("count")
    }
}

extension HookCount {
    fileprivate var json: JSONValue { ["hook": .text(hook.word), "packets": .count(packets)] }

    fileprivate init(_ reader: MessageReader) throws(ControlFailure) {
        hook = try reader.word("hook", Hook.init(word:))
        packets = try reader.integer("packets")
    }
}
