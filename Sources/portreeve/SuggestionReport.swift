// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import PolicyAnalysis
import PolicyFile

/// What `portreeve suggest` prints: a policy file that says in comments what each rule rests on, and what was left out; or the same as
/// one JSON object.
struct SuggestionReport {
    private let suggestion: Suggestion
    private let reader: TrafficReader
    private let policyPath: String
    private let isExact: Bool

    /// So many are named; of more it is said how many there are.
    private static let mostNamed = 5
    private static let mostLines = 20
    private static let mostListed = 1_000
    private static let width = 118

    init(_ suggestion: Suggestion, _ reader: TrafficReader, policyPath: String, isExact: Bool) {
        self.suggestion = suggestion
        self.reader = reader
        self.policyPath = policyPath
        self.isExact = isExact
    }

    private var policy: Policy { suggestion.policy }

    var lines: [String] {
        var lines = comment(summary) + comment(advice)
        lines.append("version: 1")
        if !suggestion.rules.isEmpty { lines.append("rules:") }
        for rule in suggestion.rules {
            lines += comment(evidence(of: rule), indent: 2) + comment(extent(of: rule), indent: 2)
            let text = rule.lines
            lines.append("  - \(text.first ?? "")")
            lines += text.dropFirst().map { "    \($0)" }
        }
        let out = suggestion.leftOut.map(sentence) + remarks
        guard !out.isEmpty else { return lines }
        lines += comment("Left out:")
        for text in out.prefix(Self.mostLines) { lines += comment("- \(text)") }
        if out.count > Self.mostLines {
            lines += comment("- and \(out.count - Self.mostLines) more: --json lists them")
        }
        return lines
    }

    private var summary: String {
        let rules = suggestion.rules
        let read = [
            reader.events > 0 ? "\(reader.events.grouped) event record\(reader.events == 1 ? "" : "s")" : nil,
            reader.packets > 0 ? "\(reader.packets.grouped) captured packets" : nil,
        ].compactMap { $0 }.joined(separator: " and ")
        let from = read.isEmpty ? "nothing that could be read" : read
        guard !rules.isEmpty else { return "No rule is suggested by \(from), for \(policyPath.harmless)." }
        let exchanges = rules.reduce(0) { $0 + $1.attempts.count }
        return
            "\(rules.count) rule\(rules.count == 1 ? "" : "s") suggested by \(from), for \(policyPath.harmless). With "
            + "\(rules.count == 1 ? "it" : "them") the engine admits each of the \(exchanges.grouped) kinds of exchange that "
            + "\(rules.count == 1 ? "it is" : "they are") for: that was tried."
    }

    private var advice: String {
        guard !suggestion.rules.isEmpty else {
            return suggestion.admitted > 0
                ? "The policy admits \(suggestion.admitted.grouped) of the openers' packets as it is." : ""
        }
        let scope =
            isExact
            ? "" : " The rules hold for every address of this host, on every interface, unless they say otherwise."
        return
            "Nothing is in force yet. Read it, put it into policy.d, then: portreeve check; portreeve diff --running "
            + "\(policyPath.quotedForShell); portreeve reload.\(scope)"
    }

    private func evidence(of rule: SuggestedRule) -> String {
        let peers = rule.peers
        let named = peers.prefix(Self.mostNamed).map { "\($0.text) (\($0.packets.grouped))" }.joined(separator: ", ")
        let more = peers.count > Self.mostNamed ? " and \(peers.count - Self.mostNamed) more" : ""
        let way = rule.direction == .incoming ? "from" : "to"
        let packets = "\(rule.packets.grouped) packet\(rule.packets == 1 ? "" : "s")"
        let openings = "\(rule.openings.grouped) opening\(rule.openings == 1 ? "" : "s") at least"
        let addresses = "\(peers.count.grouped) address\(peers.count == 1 ? "" : "es"): \(named)\(more)"
        let times = "\(WallTime(microseconds: rule.first).text) to \(WallTime(microseconds: rule.last).text)"
        return "seen: \(packets), \(openings), \(way) \(addresses); \(times)"
    }

    private func extent(of rule: SuggestedRule) -> String {
        let extent = rule.extent
        if extent.isUndecided { return "what else it would admit was not found out" }
        let who = rule.direction == .incoming ? "sources" : "destinations"
        var parts: [String] = []
        if rule.isForEverybody {
            let family: String
            switch rule.families {
            case (true, false): family = "IPv4 "
            case (false, true): family = "IPv6 "
            default: family = ""
            }
            let doubt =
                rule.hasProof
                ? "" : ", none of whom went on after an answer or came again later, as in a flood in others' names"
            parts.append("all other \(family)\(who): \(rule.peers.count.grouped) were seen\(doubt)")
        } else if let peers = extent.peers, peers > 0 {
            parts.append("\(peers.grouped) more \(who) of \(rule.peersText) that were not seen")
        }
        if extent.ports > 0 {
            parts.append("\(extent.ports) more port\(extent.ports == 1 ? "" : "s") that were not seen")
        }
        if let pairs = extent.pairs, pairs > extent.peers ?? 0 {
            parts.append("\(pairs.grouped) pairs in all of address and port that were not seen together")
        }
        guard !parts.isEmpty else { return "admits nothing else, whatever the opener's port" }
        let example = extent.example.map { "; for example \($0.sentence)" } ?? ""
        return "admits besides: \(parts.joined(separator: "; "))\(example)"
    }

    private func comment(_ text: String, indent: Int = 0) -> [String] {
        guard !text.isEmpty else { return [] }
        let margin = String(repeating: " ", count: indent) + "# "
        return text.harmless.wrapped(to: Self.width - margin.count, indent: 2).map { margin + $0 }
    }
}

// MARK: - What was left out

extension SuggestionReport {
    private func sentence(_ left: LeftOut) -> String {
        let packets = "\(left.packets.grouped) packet\(left.packets == 1 ? "" : "s")"
        let from = left.sources == 1 ? "1 source" : "\(left.sources.grouped) sources"
        let examples = examples(left)
        switch left.why {
        case .scan(let address, let isIPv6):
            return
                "\(address.description(isIPv6: isIPv6)) looks like a scanner: \(evidence(left)); \(packets). --include "
                + "\(address.description(isIPv6: isIPv6)) has it count all the same"
        case .ownRule(let rule):
            return
                "refused by your own rule \(place(rule)): \(packets) from \(from): \(examples). --over-denies suggests what "
                + "would let it in"
        case .outcome(let outcome): return "\(Self.text(outcome)): \(packets) from \(from): \(examples)"
        case .reason(let reason):
            return
                "\(packets) refused as \(reason.row.slug) (\(reason.row.number)), which no rule cures: \"portreeve reasons "
                + "\(reason.row.slug)\" says what does"
        case .unconfirmed(let reason):
            return "\(packets) for which no rule was found that the engine confirms (\(reason.row.slug)): \(examples)"
        case .answersNothing:
            return "\(packets) from \(from) that answer or report on nothing that is known: \(examples)"
        }
    }

    private func evidence(_ left: LeftOut) -> String {
        guard let evidence = left.evidence else { return "" }
        let told = evidence.notices > 0 ? "the agent told of it as scanning; " : ""
        return "\(told)it tried \(evidence.serviceCount.grouped) service\(evidence.serviceCount == 1 ? "" : "s") of "
            + "\(evidence.addressCount.grouped) address\(evidence.addressCount == 1 ? "" : "es"), \(evidence.failed.grouped) were not "
            + "there and \(evidence.present.grouped) were: likelihood ratio 4^\(evidence.power), and 4^4 is enough"
    }

    private static func text(_ outcome: AttemptOutcome) -> String {
        switch outcome {
        case .silent: "never answered"
        case .refused: "refused by its receiver"
        case .halfOpen: "answered, and then left alone by who had asked"
        case .nobodyListens: "nobody listened there, as far as the agent saw"
        case .unknown, .listening, .completed, .used: "wanted"
        }
    }

    private func examples(_ left: LeftOut) -> String {
        let texts = left.attempts.prefix(3).map { attempt in
            let (from, to) = (
                attempt.source.description(isIPv6: attempt.isIPv6),
                attempt.destination.description(isIPv6: attempt.isIPv6)
            )
            return "\(attempt.serviceText) \(from) > \(to)"
        }
        let more = left.attempts.count - texts.count
        return texts.joined(separator: ", ") + (more > 0 ? " and \(more.grouped) more" : "")
    }

    private func place(_ rule: Int32) -> String {
        guard rule >= 0, policy.rules.indices.contains(Int(rule)) else { return "a rule" }
        let rule = policy.rules[Int(rule)]
        return "\"\(rule.name)\" (\(rule.position.file):\(rule.position.line))"
    }

    /// What was read and could not be used.
    private var remarks: [String] {
        let traffic = reader.traffic
        return [
            (traffic.lateAnswers, "datagrams from a server's port to a client's, which are late answers"),
            (traffic.nameless, "packets of records that do not say of whom or to which port"),
            (traffic.withoutOpening, "packets of exchanges whose opening was not seen"),
            (traffic.withoutRoom, "packets of further attempts than are kept apart"),
            (suggestion.admitted, "packets that the policy admits as it is"),
        ].compactMap { count, text in count > 0 ? "\(count.grouped) \(text)" : nil }
    }
}

extension Attempt {
    /// "tcp 22".
    fileprivate var serviceText: String {
        switch service {
        case .tcp(let port): "tcp \(port)"
        case .udp(let port): "udp \(port)"
        case .icmp(let type, let code): "\(isIPv6 ? "icmpv6" : "icmp") \(type)/\(code)"
        case .other(let number): "protocol \(number)"
        }
    }
}

// MARK: - JSON

extension SuggestionReport {
    var json: JSONValue {
        let traffic = reader.traffic
        return [
            "policy": .text(policyPath),
            "read": ["events": .count(reader.events), "packets": .count(reader.packets)],
            "rules": .list(suggestion.rules.map(json)),
            "left_out": .list(suggestion.leftOut.prefix(Self.mostListed).map(json)),
            "left_out_beyond": .count(max(0, suggestion.leftOut.count - Self.mostListed)),
            "not_used": [
                "late_answers": .count(traffic.lateAnswers), "nameless": .count(traffic.nameless),
                "without_opening": .count(traffic.withoutOpening), "without_room": .count(traffic.withoutRoom),
            ],
            "admitted_already": .count(suggestion.admitted),
            "file": .text(suggestion.file),
        ]
    }

    private func json(_ rule: SuggestedRule) -> JSONValue {
        let extent = rule.extent
        func number(_ value: UInt128?) -> JSONValue { value.map { .count(Int64(clamping: $0)) } ?? .null }
        let peers = rule.peers
        return [
            "name": .text(rule.name), "action": .text(rule.action.word), "direction": .text(rule.direction.word),
            "rule": .text(rule.lines.joined(separator: "\n")),
            "seen": [
                "packets": .count(rule.packets), "openings_at_least": .count(rule.openings),
                "exchanges_confirmed": .count(rule.attempts.count), "peers": .count(peers.count),
                "top": .list(
                    peers.prefix(Self.mostNamed).map { ["address": .text($0.text), "packets": .count($0.packets)] }),
                "first": .integer(rule.first), "last": .integer(rule.last),
            ],
            "admits_besides": [
                "everybody": .bool(rule.isForEverybody), "peers": number(extent.peers), "ports": .count(extent.ports),
                "pairs": number(extent.pairs), "undecided": .bool(extent.isUndecided),
                "example": .optional(extent.example?.options),
            ],
        ]
    }

    private func json(_ left: LeftOut) -> JSONValue {
        var why = ""
        var more: [JSONValue.Member] = []
        switch left.why {
        case .scan(let address, let isIPv6):
            why = "scan"
            more = [
                .init("source", .text(address.description(isIPv6: isIPv6))),
                .init("services", .count(left.evidence?.serviceCount ?? 0)),
                .init("addresses", .count(left.evidence?.addressCount ?? 0)),
                .init("failed", .count(left.evidence?.failed ?? 0)),
                .init("present", .count(left.evidence?.present ?? 0)),
                .init("notices", .count(left.evidence?.notices ?? 0)),
                .init("likelihood_power_of_4", .count(left.evidence?.power ?? 0)),
            ]
        case .ownRule(let rule):
            why = "own-rule"
            more = [.init("rule", .text(place(rule)))]
        case .outcome(let outcome): why = Self.word(outcome)
        case .reason(let reason):
            why = "reason"
            more = [.init("reason", .text(reason.row.slug))]
        case .unconfirmed(let reason):
            why = "unconfirmed"
            more = [.init("reason", .text(reason.row.slug))]
        case .answersNothing: why = "answers-nothing"
        }
        return .object(
            [.init("why", .text(why))] + more
                + [
                    .init("packets", .count(left.packets)), .init("sources", .count(left.sources)),
                    .init("attempts", .count(left.attempts.count)), .init("text", .text(sentence(left))),
                ])
    }

    private static func word(_ outcome: AttemptOutcome) -> String {
        switch outcome {
        case .silent: "silent"
        case .refused: "refused"
        case .halfOpen: "half-open"
        case .nobodyListens: "nobody-listens"
        case .unknown, .listening, .completed, .used: "wanted"
        }
    }
}
