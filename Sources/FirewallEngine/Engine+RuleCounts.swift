// SPDX-License-Identifier: GPL-3.0-or-later

public import ConnectionTracking
import FirewallPolicy
import PacketWire

/// How often each rule has decided: this worker's own numbers, which nobody else touches, read under the worker's lock.
extension Engine {
    /// Counts a packet for the rule that decided about it.
    @inline(__always)
    mutating func countRule(_ rule: Int32, _ bytes: UInt32, at now: Instant) {
        var counts = ruleCounts.mutableSpan
        guard Int(rule) < counts.count else { return }
        counts[Int(rule)].add(bytes: bytes, at: now)
    }

    /// By the rules' index in the policy in force, with what passed in the kernel as far as it was taken up.
    public var countsOfRules: [RuleCount] {
        var counts = ruleCounts
        for (rule, count) in table.kernelRuleCounts.enumerated() where rule < counts.count { counts[rule].add(count) }
        return counts
    }

    /// Goes on counting for the rules of another policy, whose generation has just begun.
    ///
    /// - Parameters:
    ///   - rules: how many it has.
    ///   - kept: for each of them, which rule of the policy before it is, or -1; what is missing is new.
    mutating func carryCounts(to rules: Int, keeping kept: [Int32]) {
        let kernel = table.kernelRuleCounts
        var places = [Int32](repeating: -1, count: ruleCounts.count)
        var (counts, ofKernel) = ([RuleCount](), [RuleCount]())
        counts.reserveCapacity(rules)
        for rule in 0..<rules {
            let old = rule < kept.count ? Int(kept[rule]) : -1
            let isKept = old >= 0 && old < places.count
            if isKept { places[old] = Int32(rule) }
            counts.append(isKept ? ruleCounts[old] : RuleCount())
            ofKernel.append(isKept && old < kernel.count ? kernel[old] : RuleCount())
        }
        ruleCounts = counts
        table.countRules(ofKernel, from: generation, places: places)
    }
}
