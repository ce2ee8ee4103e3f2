// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
package import FirewallPolicy
import PacketWire

/// The fewest rules found that admit what was tried and wanted, and what a policy refuses: each one confirmed by an engine that has
/// judged every exchange it was made for, and none of them to be done without.
///
/// Nothing here puts anything in force.
package struct Suggestion {
    package struct Options: Sendable {
        /// To these addresses may be generalised.
        package var networks: [AddressRange] = []
        /// Nothing is generalised: neither addresses nor ports.
        package var isExact = false
        /// What rules of the policy refuse is to be let in too.
        package var overDenies = false
        /// Whatever they did was wanted.
        package var included: [AddressRange] = []

        package init() {}
    }

    package let policy: Policy
    package private(set) var rules: [SuggestedRule] = []
    /// In one order.
    package private(set) var leftOut: [LeftOut] = []
    /// Packets, of openers, that the policy admits as it is.
    package private(set) var admitted: UInt64 = 0
    /// The policy with the suggestion could not be read, so that nothing was confirmed.
    package private(set) var isUnreadable = false

    private let options: Options
    private let reread: (_ file: String) -> PolicyDocument?
    private var sorted: [LeftOut.Why: LeftOut] = [:]

    typealias Seen = (attempt: Attempt, tally: AttemptTally)

    /// - Parameters:
    ///   - policy: the one in force, or to be.
    ///   - traffic: what was seen.
    ///   - options: what is wished.
    ///   - reread: the policy with this text read after its other files; nil where that is no policy.
    package init(
        _ policy: Policy, _ traffic: SeenTraffic, _ options: Options = Options(),
        reread: @escaping (_ file: String) -> PolicyDocument?
    ) {
        self.policy = policy
        self.options = options
        self.reread = reread
        var traffic = traffic
        let needs = sift(traffic.settled(), &traffic)
        make(needs)
        for (reason, packets) in traffic.uncurable {
            sorted[.reason(reason), default: LeftOut(.reason(reason))].packets += packets
        }
        leftOut = sorted.values.sorted(by: LeftOut.Why.precedes)
        measure()
    }

    /// The text of a policy file with the rules alone, for `policy.d`.
    package var file: String { Self.file(rules) }

    private static func file(_ rules: [SuggestedRule]) -> String {
        guard !rules.isEmpty else { return "version: 1\n" }
        return "version: 1\nrules:\n"
            + rules.map { rule in "  - " + rule.lines.joined(separator: "\n    ") + "\n" }.joined()
    }

    /// What is refused for want of a rule, by the rule that it wants.
    struct Need {
        let seen: Seen
        let action: RuleAction
        let priority: UInt8
    }

    // MARK: - What is wanted

    /// What the policy refuses, and was wanted; the rest is noted.
    private mutating func sift(_ all: [Seen], _ traffic: inout SeenTraffic) -> [Need] {
        let judge = ExchangeJudge(policy)
        var evidence: [SourceName: ScanEvidence] = [:]
        var needs: [Need] = []
        for seen in all {
            let (attempt, tally) = seen
            if attempt.answersNothing {
                leave(out: .answersNothing, seen)
                continue
            }
            if isJudgedBySource(attempt) {
                evidence[SourceName(attempt), default: ScanEvidence(notices: traffic.notices(of: attempt.source))]
                    .add(attempt, tally.outcome(of: attempt.service), isPersistent: tally.isPersistent)
            }
            switch judge.fate(of: attempt, at: time(of: tally), openingAlone: true) {
            case .passes: admitted = admitted.added(tally.packets)
            case .refused(let refused, _):
                switch refused.cause {
                case .noAllowRule where attempt.hasNoRule, .denyRule where attempt.hasNoRule && options.overDenies:
                    leave(out: .unconfirmed(refused.reason), seen)
                case .denyRule where !options.overDenies: leave(out: .ownRule(refused.rule), seen)
                case .denyRule:
                    let priority = refused.rule >= 0 ? policy.rules[Int(refused.rule)].priority : 0
                    needs.append(Need(seen: seen, action: .forceAllow, priority: priority))
                case .noAllowRule, .udpAdmit, .icmpAdmit:
                    needs.append(Need(seen: seen, action: action(for: attempt), priority: 0))
                default: leave(out: .reason(refused.reason), seen)
                }
            }
        }
        return needs.filter { isWanted($0.seen, evidence) }
    }

    /// Where schedules hold at some hours, the hour at which it was seen last.
    private func time(of tally: AttemptTally) -> Int64 {
        policy.document.schedules.isEmpty ? 0 : tally.last / 1_000_000
    }

    /// What this host itself asks others for is no scan of it.
    private func isJudgedBySource(_ attempt: Attempt) -> Bool {
        attempt.direction == .incoming || !policy.document.interfaces.inside.isEmpty
    }

    /// An Allow rule where it is enough: it admits less than a Force Allow rule, which a Deny rule of its priority does not stop. Of
    /// what comes in, unsolicited datagrams and queries need the latter.
    private func action(for attempt: Attempt) -> RuleAction {
        let stateful = policy.document.stateful
        guard attempt.direction == .incoming else { return .allow }
        switch attempt.service {
        case .udp where stateful.udpEnabled && stateful.udpAdmit == .forceAllow: return .forceAllow
        case .icmp where !attempt.isIPv6 && stateful.icmpEnabled && stateful.icmpAdmit == .forceAllow:
            return .forceAllow
        default: return .allow
        }
    }

    private mutating func isWanted(_ seen: Seen, _ evidence: [SourceName: ScanEvidence]) -> Bool {
        let (attempt, tally) = seen
        func isIncluded(_ address: IPAddress) -> Bool {
            options.included.contains { $0.first <= address && address <= $0.last }
        }
        if isIncluded(attempt.source) || attempt.direction == .outgoing && isIncluded(attempt.destination) {
            return true
        }
        if let evidence = evidence[SourceName(attempt)], evidence.isScanner {
            let why = LeftOut.Why.scan(attempt.source, isIPv6: attempt.isIPv6)
            leave(out: why, seen)
            sorted[why]?.evidence = evidence
            return false
        }
        let outcome = tally.outcome(of: attempt.service)
        if !outcome.isWanted { leave(out: .outcome(outcome), seen) }
        return outcome.isWanted
    }

    private mutating func leave(out why: LeftOut.Why, _ seen: Seen) {
        var entry = sorted.removeValue(forKey: why) ?? LeftOut(why)
        entry.packets = entry.packets.added(seen.tally.packets)
        entry.attempts.append(seen.attempt)
        sorted[why] = entry
    }

    // MARK: - The rules

    /// Of what an engine does not confirm other rules may be made: those that are narrower for it.
    private static let mostRounds = 4

    private mutating func make(_ needs: [Need]) {
        var needs = needs
        for _ in 0..<Self.mostRounds {
            rules = Grouping(needs, policy, options).rules
            let refused = unconfirmed()
            if refused.isEmpty { return }
            needs = needs.filter { refused[$0.seen.attempt] == nil }
        }
        rules = []
    }

    /// What does not pass by the policy with the rules, which is noted.
    private mutating func unconfirmed() -> [Attempt: Bool] {
        guard !rules.isEmpty else { return [:] }
        guard let document = reread(file), let policy = try? Policy(document, epoch: self.policy.epoch &+ 1) else {
            isUnreadable = true
            rules = []
            return [:]
        }
        let judge = ExchangeJudge(policy)
        var refused: [Attempt: Bool] = [:]
        for seen in rules.flatMap(\.attempts) {
            guard case .refused(let why, _) = judge.fate(of: seen.attempt, at: time(of: seen.tally)) else { continue }
            refused[seen.attempt] = true
            leave(out: .unconfirmed(why.reason), seen)
        }
        return refused
    }

    private mutating func measure() {
        guard !rules.isEmpty, let document = reread(file),
            let policy = try? Policy(document, epoch: self.policy.epoch &+ 1)
        else { return }
        let latest = rules.map(\.last).max() ?? 0
        let extents = RuleExtents(self.policy, policy, from: latest / 1_000_000)
        let first = policy.document.rules.count - rules.count
        for place in rules.indices {
            rules[place].extent = extents.extent(of: rules[place], at: Int32(first + place))
        }
    }
}

extension Attempt {
    /// ICMP in packets of the other family, which anybody can send: a policy file's `protocol` takes these numbers for that family
    /// alone, so that no rule can name them beside an address.
    fileprivate var hasNoRule: Bool { service == .other(isIPv6 ? IPProtocol.icmp : IPProtocol.icmpv6) }

    /// An ICMP message that answers or reports, and never opens.
    fileprivate var answersNothing: Bool {
        guard case .icmp(let type, _) = service else { return false }
        let answers: [UInt8] =
            isIPv6
            ? [
                ICMPv6Type.destinationUnreachable, ICMPv6Type.packetTooBig, ICMPv6Type.timeExceeded,
                ICMPv6Type.parameterProblem, ICMPv6Type.echoReply, ICMPv6Type.redirect,
            ]
            : [
                ICMPType.echoReply, ICMPType.destinationUnreachable, ICMPType.sourceQuench, ICMPType.redirect,
                ICMPType.timeExceeded, ICMPType.parameterProblem, ICMPType.timestampReply, ICMPType.informationReply,
                ICMPType.maskReply,
            ]
        return answers.contains(type)
    }
}
