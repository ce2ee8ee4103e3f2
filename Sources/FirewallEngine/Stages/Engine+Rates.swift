// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// The rate of a rule, and what tells the rule from others over reloads.
struct RuleRate: BitwiseCopyable {
    let rule: UInt64
    let rate: OpeningRate?

    /// The rule is the same as long as its name, what it does, and its rate are (FNV-1a of them, RFC 9923).
    init(_ rule: Rule) {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func absorb(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01b3 }
        for byte in rule.name.utf8 { absorb(byte) }
        absorb(0)
        absorb(rule.action.rawValue)
        absorb(rule.direction == .incoming ? 0 : 1)
        let numbers = [UInt64(rule.rate?.count ?? 0), UInt64(rule.rate?.span.nanoseconds ?? 0)]
        for number in numbers {
            for shift in stride(from: 0, to: UInt64(64), by: 8) { absorb(UInt8(truncatingIfNeeded: number >> shift)) }
        }
        self.rule = hash
        rate = rule.isEnabled ? rule.rate : nil
    }
}

/// Rules that admit so many openings of one source in a time. An opening counts where it is put into the table, or passes without an
/// entry: not what its sender repeats of one that is known, nor what anything else refuses.
extension Engine {
    /// When a policy comes into force, never for a packet.
    mutating func prepareRates() {
        ruleRates = hot.hasRates ? policy.rules.map { RuleRate($0) } : []
        shared.rates.prepare(isUsed: hot.hasRates)
    }

    /// Puts an opening that everything else admits into the table, unless it is beyond the rate of the rule that admits it.
    mutating func insertWithinRate(
        _ p: inout Inspection, _ opening: Connection, to listener: ListenerLoads.Index? = nil
    ) -> Finding? {
        guard hot.hasRates else { return insert(&p, opening, to: listener) }
        if let finding = excessOfRate(&p) {
            rememberRefused(&p, opening, finding)
            return finding
        }
        return insert(&p, opening, to: listener)
    }

    /// The finding of an opening beyond the rate of the rule that admits it; any other is counted. `mayRepeat`: the opening gets no
    /// entry, so that its sender's repetitions come here too.
    mutating func excessOfRate(_ p: inout Inspection, mayRepeat: Bool = false) -> Finding? {
        guard hot.hasRates, let opening = ratedOpening(&p), p.isSubject(to: .ruleRate) else { return nil }
        switch shared.rates.judge(opening, at: p.now, counts: !p.leavesNoTrace, mayRepeat: mayRepeat) {
        case .refused: return Finding(.connectionRate, .ruleRate, rule: p.ruling.rule)
        case .counted: p.isCountedByRate = true
        case .uncounted: break
        }
        return nil
    }

    /// Something else has refused what was counted.
    mutating func giveBackToRate(_ p: inout Inspection) {
        guard p.isCountedByRate, let opening = ratedOpening(&p) else { return }
        p.isCountedByRate = false
        shared.rates.giveBack(opening)
    }

    /// What a connection was announced by is not asked for a rate.
    private mutating func ratedOpening(_ p: inout Inspection) -> RatedOpening? {
        guard p.ruling.outcome == .allow || p.ruling.outcome == .forceAllow, !p.isAnnounced,
            ruleRates.indices.contains(Int(p.ruling.rule)), let rate = ruleRates[Int(p.ruling.rule)].rate
        else { return nil }
        return RatedOpening(
            rule: ruleRates[Int(p.ruling.rule)].rule, rate: rate, source: p.headers.source,
            version: p.headers.network == .ipv6 ? 6 : 4, digest: digestOfOpening(&p))
    }

    private mutating func digestOfOpening(_ p: inout Inspection) -> UInt64 {
        var hash = SipHash(seed: (0, 0))
        hash.absorb(p.headers.destination.high)
        hash.absorb(p.headers.destination.low)
        hash.absorb(UInt64(p.headers.sourcePort) << 16 | UInt64(p.headers.destinationPort))
        hash.absorb(p.headers.transport == .tcp ? UInt64(p.headers.tcp.sequence) : 0)
        return hash.finish() | 1
    }

    /// What is counted for a source under any rule, for another engine.
    func rateStandings(of source: IPAddress, version: UInt8, at now: Instant) -> [RateStanding] {
        ruleRates.filter { $0.rate != nil }.compactMap {
            shared.rates.standing(rule: $0.rule, source: source, version: version, at: now)
        }
    }
}
