// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// What one rule has decided.
public struct RuleCount: Hashable, Sendable, BitwiseCopyable {
    public var packets: UInt64 = 0
    /// Of IP.
    public var bytes: UInt64 = 0
    /// The first packet and the last; they mean nothing while there was none.
    public var first = Instant(nanoseconds: 0)
    public var last = Instant(nanoseconds: 0)

    public init() {}

    /// Takes one packet in.
    @inlinable public mutating func add(bytes more: UInt32, at now: Instant) {
        if packets == 0 { first = now }
        last = now
        packets &+= 1
        bytes &+= UInt64(more)
    }

    /// Takes in what others have counted.
    public mutating func add(_ other: RuleCount) {
        guard other.packets > 0 else { return }
        first = packets == 0 ? other.first : min(first, other.first)
        last = packets == 0 ? other.last : max(last, other.last)
        packets &+= other.packets
        bytes &+= other.bytes
    }
}

/// What passed in the kernel, by the rule that decided for the connection's side when it was let there. It is counted when it is
/// taken up, at most a second later.
struct KernelRuleCounts: Sendable {
    /// By the index of the rule in the policy in force.
    private(set) var counts: [RuleCount] = []
    /// The generation from which on decisions are those of this policy.
    private var began: UInt32 = 0
    /// The same of the policy before, and where its rules are now; -1 is nowhere.
    private var earlier: (began: UInt32, places: [Int32])?

    /// Another policy is in force.
    mutating func begin(_ kept: [RuleCount], from generation: UInt32, places: [Int32]) {
        earlier = counts.isEmpty && places.isEmpty ? nil : (began, places)
        counts = kept
        began = generation
    }

    mutating func add(_ decision: CachedRuleDecision, packets: UInt64, bytes: UInt64, at last: Instant) {
        guard decision.rule >= 0, decision.generation != 0 else { return }
        var rule = Int(decision.rule)
        if !Self.isSince(began, decision.generation) {
            guard let earlier, Self.isSince(earlier.began, decision.generation), rule < earlier.places.count else {
                return
            }
            rule = Int(earlier.places[rule])
        }
        guard counts.indices.contains(rule) else { return }
        var count = RuleCount()
        (count.packets, count.bytes, count.first, count.last) = (packets, bytes, last, last)
        counts[rule].add(count)
    }

    /// Generations wrap.
    private static func isSince(_ began: UInt32, _ generation: UInt32) -> Bool {
        Int32(bitPattern: generation &- began) >= 0
    }
}

extension ConnectionTable {
    /// What the rules of the policy in force have let pass in the kernel.
    public var kernelRuleCounts: [RuleCount] { kernelRules.counts }

    /// Counts for the rules of another policy from this generation on: what was counted of those that it has kept, and where
    /// each of the policy before is in it, or -1.
    public mutating func countRules(_ kept: [RuleCount], from generation: UInt32, places: [Int32]) {
        kernelRules.begin(kept, from: generation, places: places)
    }
}
