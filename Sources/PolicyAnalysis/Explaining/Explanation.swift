// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
package import ConnectionTracking
package import FirewallEngine
package import FirewallPolicy
import PacketWire

/// The way of one packet through the engine, in sentences: made of the steps that the engine itself has recorded.
package struct Explanation: Sendable {
    package let policy: Policy
    package let steps: [Step]
    /// Names of interfaces by their index.
    private let interfaces: [UInt32: String]

    /// Where the policy sets the setting that decided; nil where it has its default.
    package var settingPlace: SourcePosition?

    /// A line, and how far it is indented.
    package struct Line: Hashable, Sendable {
        package var depth: Int
        package var text: String
    }

    package init(_ policy: Policy, _ steps: [Step], interfaces: [UInt32: String]) {
        self.policy = policy
        self.steps = steps
        self.interfaces = interfaces
    }

    /// Why it is refused; nil where it passes.
    package var refusal: Step.Refused? {
        steps.lazy.compactMap { step in
            if case .refused(let refused) = step { return refused }
            return nil
        }.last
    }

    /// Whether it passes in the end; nil: it waits for what is still to come.
    package var passes: Bool? {
        switch steps.last {
        case .passed, .untouched: true
        case .refused(let refused): refused.passes
        default: nil
        }
    }

    /// What the rules said last, and of what.
    package var ruling: (subject: RuleSubject, decision: RuleDecision)? {
        steps.lazy.compactMap { step in
            if case .ruled(let subject, let decision, _) = step { return (subject, decision) }
            return nil
        }.last
    }

    /// The name of the packet's interface, where it is known.
    var interfaceName: String? {
        steps.lazy.compactMap { step in
            if case .placed(_, let index, _) = step { return interfaces[index] }
            return nil
        }.last
    }

    package func name(ofInterface index: UInt32) -> String {
        index == 0 ? "no interface" : interfaces[index] ?? "interface \(index)"
    }
}

extension Explanation {
    package var lines: [Line] {
        steps.flatMap(lines(of:))
    }

    private func lines(of step: Step) -> [Line] {
        switch step {
        case .placed(let direction, let interface, let known):
            let side = known.traits.isInside ? ", which is inside" : ""
            return one("place: \(direction.word) on \(name(ofInterface: interface))\(side)")
        case .untouched(let why): return one(text(why))
        case .decoded(let headers): return one("headers: \(headers.length) bytes, \(Self.text(headers))")
        case .sane: return one("sanity: nothing is wrong with the packet by itself")
        case .fragment(.first): return one("fragments: the first of its datagram, which speaks for the others")
        case .fragment(.later): return one("fragments: a later one, which shares the fate of its datagram's first")
        case .fragment(.early): return one("fragments: its datagram's first fragment has not come")
        case .lookedUp(let stage, let opening, let ruling):
            guard let stage else { return one("connection: none is known that this packet is of") }
            return one("connection: known, \(stage.name), opened by an \(opening.word) packet")
                + (ruling.map { [Line(depth: 1, text: text(ofOpening: $0))] } ?? [])
        case .stateless: return one("connection: rules are all there is for this packet")
        case .ruled(let subject, let decision, let isKept): return lines(of: subject, decision, isKept: isKept)
        case .ownTraffic: return one("rules: the agent's own traffic needs none")
        case .refusedBefore: return one("connection: it was refused when it was opened")
        case .takenOver(let opening):
            return one(
                "state: connections older than the agent may go on now, and the rules would let the \(opening.word) side open this one"
            )
        case .tracked(let before, let after):
            let change = before == after ? "stays \(after.name)" : "goes from \(before.name) to \(after.name)"
            return one("state: the segment fits; the connection \(change)")
        case .opened: return one("state: it opens a connection")
        case .byCookies(let what): return one(text(what))
        case .refused(let refused): return lines(of: refused)
        case .passed: return one("verdict: pass")
        }
    }

    /// What the rules say of the packet that opened a known connection.
    private func text(ofOpening ruling: RuleDecision) -> String {
        let rule = ruling.rule >= 0 ? " by \(place(of: ruling.rule))" : ""
        return switch ruling.outcome {
        case .allow, .forceAllow, .bypass: "its opening is admitted\(rule)"
        case .deny: "its opening is denied\(rule)"
        case .implicitDeny: "no rule admits its opening"
        case .noMatch, .undetermined: "its opening needed no rule"
        }
    }

    /// The known connection that the packet was found to be of: its stage, and the rule that decides its opening, or -1.
    package var connection: (stage: ConnectionStage, opening: Direction, rule: Int32)? {
        steps.lazy.compactMap { step in
            if case .lookedUp(let stage?, let opening, let ruling) = step {
                return (stage, opening, ruling?.rule ?? -1)
            }
            return nil
        }.last
    }

    private func one(_ text: String) -> [Line] { [Line(depth: 0, text: text)] }

    private func lines(of refused: Step.Refused) -> [Line] {
        let row = refused.reason.row
        let rule = refused.rule >= 0 ? ": \(place(of: refused.rule))" : ""
        let verdict = refused.passes ? "would be dropped, and passes by tap mode or a failure setting" : "drop"
        var lines = [Line(depth: 0, text: "verdict: \(verdict): \(row.slug) (\(row.number), \(row.name))\(rule)")]
        if refused.cause != .none {
            let place = settingPlace.map { "\($0.file):\($0.line):\($0.column)" } ?? "by its default"
            let setting = refused.cause.setting.map { " (\($0), \(place))" } ?? ""
            lines.append(Line(depth: 1, text: "because \(refused.cause.row.sentence)\(setting)"))
        }
        if let text = text(ofReply: refused) { lines.append(Line(depth: 1, text: text)) }
        return lines
    }

    /// What its sender is told.
    private func text(ofReply refused: Step.Refused) -> String? {
        if let silence = refused.silence { return "not answered: \(Self.text(silence))" }
        return switch refused.reply {
        case .none: nil
        case .reset: "answered by a TCP reset"
        case .unreachable: "answered by ICMP: port unreachable"
        case .prohibited: "answered by ICMP: administratively prohibited"
        }
    }

    private static func text(_ silence: Silence) -> String {
        switch silence {
        case .passes: "it passes"
        case .toGroup: "it went to a multicast or broadcast address"
        case .source: "its source is not the address of one other computer"
        case .fragment: "it is a later fragment, or a part of a TCP segment"
        case .asksNothing: "nothing answers a reset, an ICMP error, or an ICMP message that asks nothing"
        case .checksum: "its checksum is wrong or cannot be verified"
        case .tooShort: "the shortest answer would be longer than it"
        }
    }

    private func text(_ why: Step.Untouched) -> String {
        switch why {
        case .ignoredInterface: "verdict: pass: its interface is one of interfaces.ignore, and nothing is asked"
        case .forwarded:
            "verdict: pass: forwarded packets are judged only where interfaces.inside names something, on a judged interface"
        case .ownGroupPacket: "verdict: pass: the copy of what this host has sent to a group"
        case .ownAnswer: "verdict: pass: the agent's own answer to a refused packet"
        case .rulesTrial: "verdict: pass: the datagram by which the tool tries the rules"
        }
    }

    private func text(_ what: Step.Cookies) -> String {
        switch what {
        case .opening: "state: its listener is flooded, so that it gets no entry, and this host's SYN cookies answer it"
        case .answer: "state: its listener is flooded, and no entry is kept of the opening that it belongs to"
        case .acknowledgement:
            "state: its listener is flooded; it waits for this host to say whether its cookie is right"
        }
    }

    private static func text(_ headers: PacketHeaders) -> String {
        switch headers.transport {
        case .tcp:
            "tcp [\(headers.tcp.flags.words)] sequence \(headers.tcp.sequence)"
                + (headers.tcp.flags.contains(.ack) ? " acknowledgement \(headers.tcp.acknowledgement)" : "")
        case .udp: "udp"
        case .icmp: "icmp type \(headers.icmp.type) code \(headers.icmp.code)"
        case .icmpv6: "icmpv6 type \(headers.icmp.type) code \(headers.icmp.code)"
        case .none, .other: headers.isIP ? "protocol \(headers.protocolNumber)" : "no IP"
        }
    }
}
