// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import FirewallEngine
import FirewallPolicy

/// The status report on one screen, in lines no longer than the terminal's where they can be broken.
struct StatusText {
    private let report: StatusReport

    private let protection: HostProtection?
    private let width: Int?
    private let palette: Palette

    /// `width`: columns of the terminal; nil: as many as need be.
    init(
        _ report: StatusReport, _ protection: HostProtection? = nil, width: Int? = nil,
        palette: Palette = Palette(isOn: false)
    ) {
        self.palette = palette
        self.report = report
        self.protection = protection
        self.width = width
    }

    var lines: [String] {
        let facts = head + policy + [hooks, connections] + blocks + answers + floods + fastPath + [losses] + outputs
        return wrapped(standing).map { palette.paint($0, colour) } + wrapped(facts) + [""] + queues + [""] + reasons
            + warnings
    }

    private func wrapped(_ lines: [String]) -> [String] {
        lines.flatMap { $0.wrapped(to: width, indent: StatusText.margin) }
    }

    private var colour: Palette.Colour? {
        switch protection?.state {
        case .protected: .green
        case .tap, .unknown: .yellow
        case .partly, .unprotected: .red
        case nil: nil
        }
    }

    private static let margin = 13

    private func line(_ title: String, _ text: String) -> String { title.padded(to: StatusText.margin) + text.harmless }

    /// First of all the answer to the question that was asked.
    private var standing: [String] {
        guard let protection else { return [] }
        let reasons = protection.state == .partly ? protection.details.map { line("", $0) } : []
        return [line("protection", protection.sentence)] + reasons
    }

    /// What passed because of tap or failure open.
    private var wouldDrop: UInt64 { report.reasons.reduce(0) { $0 &+ $1.wouldDrop } }

    private var losses: String {
        let kernel = report.queues.reduce(0) { $0 &+ $1.kernelQueueDrops &+ $1.kernelSocketDrops }
        let dropped = report.reasons.reduce(0) { $0 &+ $1.dropped }
        let events = report.reasons.reduce(0) { $0 &+ $1.lost }
        let spared =
            wouldDrop == 0
            ? "" : #"; would drop \#(wouldDrop.grouped) that passed ("portreeve events --summary" says what)"#
        return line(
            "drops",
            "\(dropped.grouped) by reason\(spared); lost: \(kernel.grouped) packets before the agent, \(events.grouped) events"
        )
    }

    /// Where events go; what troubles an output is among the warnings.
    private var outputs: [String] {
        report.outputs.enumerated().map { place, output in
            let merged = output.merged > 0 ? ", \(output.merged.grouped) events merged beyond the budget" : ""
            return line(
                place == 0 ? "events" : "",
                "\(output.name) \(output.target) (\(output.format)): written \(output.written.grouped), pending "
                    + "\(output.pending.grouped), lost \(output.lost.grouped); records \(output.records.grouped)\(merged)"
            )
        }
    }

    private var head: [String] {
        let uptime = Int64(clamping: report.uptimeSeconds).lengthText
        let mode = report.mode == .tap ? "tap: decides and records, drops nothing" : "inline"
        return [
            line("portreeved", "\(report.agent.version), process \(report.agent.processIdentifier), up \(uptime)"),
            line(
                "mode", "\(mode); failure: engine \(report.failure.engine.word), sanity \(report.failure.sanity.word)"),
        ]
    }

    private var policy: [String] {
        let policy = report.policy
        let loaded = WallTime(seconds: policy.loadedAt).text
        var lines = [line("policy", "epoch \(policy.epoch), \(policy.ruleCount) rules, loaded \(loaded)")]
        if let seconds = policy.takenBackIn {
            lines.append(
                line(
                    "",
                    "taken back in \(seconds) s unless \"portreeve reload --keep\" comes from another session"))
        }
        if let why = policy.fallback {
            lines.append(line("", "this is the last policy that was in force; the one on disk is not:"))
            lines += why.split(whereSeparator: \.isNewline).map { line("", "  " + $0) }
        }
        lines += policy.files.map { line("", $0) }
        lines.append(line("", "built-in: \(policy.builtIn.isEmpty ? "none" : policy.builtIn.joined(separator: ", "))"))
        if let error = policy.lastReloadError {
            lines.append(line("", "the last reload was refused:"))
            lines += error.split(whereSeparator: \.isNewline).map { line("", "  " + $0) }
        }
        return lines
    }

    private var hooks: String {
        let seen = report.hooks.map { "\($0.hook.word) \($0.packets.grouped)" }.joined(separator: ", ")
        let fragments =
            switch report.fragmentsVisible {
            case true?: "; fragments are seen"
            case false?: "; packets arrive reassembled: fragment checks (108-112, 136, 148) see nothing"
            case nil: ""
            }
        return line("hooks", (seen.isEmpty ? "no packet yet" : seen) + fragments)
    }

    private var connections: String {
        let counts = report.connections
        let states = counts.tcpStates.filter { $0.count > 0 }.map { "\($0.state) \($0.count.grouped)" }
        let detail = states.isEmpty ? "" : " (\(states.joined(separator: ", ")))"
        return line(
            "connections",
            "tcp \(counts.tcp.grouped)\(detail), udp \(counts.udp.grouped), icmp \(counts.icmp.grouped), refused "
                + "\(counts.refused.grouped), datagrams \(counts.fragmentedDatagrams.grouped); at most tcp "
                + "\(counts.tcpLimit.grouped), udp \(counts.udpLimit.grouped), icmp \(counts.icmpLimit.grouped), "
                + "datagrams \(counts.fragmentedDatagramsLimit.grouped)")
    }

    /// Nothing where nobody is.
    private var blocks: [String] {
        guard report.blockedSources > 0 else { return [] }
        return [line("blocked", "\(report.blockedSources.grouped) sources, everything from them (portreeve blocks)")]
    }

    /// What refused packets were told; nothing where no policy has said that they are.
    private var answers: [String] {
        let answers = report.answers
        guard answers != AnswerStatus() else { return [] }
        return [
            line(
                "answers",
                "to refused packets: reset \(answers.reset.grouped), unreachable \(answers.unreachable.grouped), prohibited "
                    + "\(answers.prohibited.grouped); none: beyond the rate \(answers.withheld.grouped), such as nothing may "
                    + "answer \(answers.unanswerable.grouped); not taken by the kernel \(answers.unsent.grouped)")
        ]
    }

    /// Listeners that answer by cookies; nothing where none does.
    private var floods: [String] {
        let inKernel = report.floods.inKernel
        let before = inKernel > 0 ? "; before the queue, ever and to all: \(inKernel.grouped)" : ""
        return report.floods.listeners.enumerated().map { place, flooded in
            line(
                place == 0 ? "flooded" : "",
                "\(flooded.listener): SYNs get no entry, this host's SYN cookies answer; \(flooded.halfOpen.grouped) "
                    + "half-open, \(flooded.passed.grouped) SYNs of late without an entry\(before)")
        }
    }

    private var fastPath: [String] {
        let path = report.fastPath
        switch path.state {
        case .off: return []
        case .unavailable: return [line("fast path", "unavailable: \(path.why ?? "")")]
        case .active:
            let bypassed = path.bypassed > 0 ? " (\(path.bypassed.grouped) of them by offload: true)" : ""
            return [
                line(
                    "fast path",
                    "\(path.flows.grouped) flows now\(bypassed), \(path.admitted.grouped) ever; passed in the kernel: "
                        + "\(path.packets.grouped) packets, \(path.bytes.grouped) bytes (their checksums are left to their "
                        + "receivers); left in the queue for want of room: \(path.full.grouped)")
            ]
        }
    }

    private var queues: [String] {
        var table = TextTable([
            .number("QUEUE"), .text("FOR"), .number("PACKETS"), .number("PASSED"), .number("DROPPED"), .number("HELD"),
            .number("WAITING"), .number("FULL"), .number("BUFFER"), .number("REFUSED"), .number("UNSEEN"),
        ])
        for queue in report.queues {
            table.add(
                ["\(queue.number)", queue.kind.word]
                    + [
                        queue.packets, queue.passed, queue.dropped, queue.held, queue.queuedNow, queue.kernelQueueDrops,
                        queue.kernelSocketDrops, queue.refusedVerdicts,
                    ].map(\.grouped) + [queue.overflows == 0 ? "no" : "perhaps, \(queue.overflows.grouped) times"])
        }
        return table.lines(width: width)
    }

    private var reasons: [String] {
        guard !report.reasons.isEmpty else { return ["no event yet"] }
        let columns = [ReasonColumn.dropped] + (wouldDrop > 0 ? [.wouldDrop] : []) + ReasonColumn.accounting
        var table = TextTable([.number("ID"), .text("REASON")] + columns.map { .number($0.rawValue) })
        for count in report.reasons {
            table.add(["\(count.reason.row.number)", count.reason.row.slug] + columns.map { count[$0].grouped })
        }
        let totals = columns.map { column in report.reasons.reduce(0) { $0 &+ $1[column] } }
        table.add(["", "all"] + totals.map(\.grouped))
        return table.lines(width: width)
    }

    private var warnings: [String] {
        guard !report.warnings.isEmpty else { return [] }
        return ["", "warnings"] + report.warnings.flatMap { ("  " + $0.harmless).wrapped(to: width, indent: 4) }
    }
}

/// What the table of reasons counts.
private enum ReasonColumn: String {
    case dropped = "DROPPED"
    case wouldDrop = "WOULD DROP"
    case written = "WRITTEN"
    case pending = "PENDING"
    case silenced = "SILENCED"
    case lost = "LOST"

    /// What becomes of the events of drops.
    static let accounting: [ReasonColumn] = [.written, .pending, .silenced, .lost]
}

extension ReasonCount {
    fileprivate subscript(column: ReasonColumn) -> UInt64 {
        switch column {
        case .dropped: dropped
        case .wouldDrop: wouldDrop
        case .written: written
        case .pending: pending
        case .silenced: silenced
        case .lost: lost
        }
    }
}
