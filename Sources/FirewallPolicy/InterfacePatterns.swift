// SPDX-License-Identifier: GPL-3.0-or-later

/// What the policy says about one interface; computed once per interface, not per packet.
public struct InterfaceTraits: Hashable, Sendable, BitwiseCopyable {
    /// A bit for each pattern of the rules' `interfaces` that its name matches; for `RuleSubject.interfacePatterns`.
    public var patterns: UInt64
    /// `interfaces.ignore`
    public var isIgnored: Bool
    /// `interfaces.inside`
    public var isInside: Bool

    public init(patterns: UInt64 = 0, isIgnored: Bool = false, isInside: Bool = false) {
        self.patterns = patterns
        self.isIgnored = isIgnored
        self.isInside = isInside
    }
}

/// The different interface patterns of all rules, each with its bit.
struct InterfacePatterns: Sendable {
    private var texts: [String: Int] = [:]
    private var globs: [InterfaceGlob] = []

    /// Bits of `patterns`, which get new ones as needed; nil when there are no bits left.
    mutating func register(_ patterns: [String]) -> UInt64? {
        var bits: UInt64 = 0
        for pattern in patterns {
            if let index = texts[pattern] {
                bits |= 1 << UInt64(index)
            } else {
                guard globs.count < Policy.interfacePatternLimit else { return nil }
                texts[pattern] = globs.count
                bits |= 1 << UInt64(globs.count)
                globs.append(InterfaceGlob(pattern))
            }
        }
        return bits
    }

    func bits(ofInterface name: String) -> UInt64 {
        var bits: UInt64 = 0
        for (index, glob) in globs.enumerated() where glob.matches(name) { bits |= 1 << UInt64(index) }
        return bits
    }
}

extension Policy {
    /// How many different interface patterns the rules of a policy can have.
    public static let interfacePatternLimit = 64

    /// What the policy says about the interface of this name.
    public func traits(ofInterface name: String) -> InterfaceTraits {
        func isOne(of patterns: [String]) -> Bool { patterns.contains { InterfaceGlob($0).matches(name) } }
        return InterfaceTraits(
            patterns: interfacePatterns.bits(ofInterface: name), isIgnored: isOne(of: document.interfaces.ignore),
            isInside: isOne(of: document.interfaces.inside))
    }
}
