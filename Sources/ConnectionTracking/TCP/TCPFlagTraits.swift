// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// What the flags of a segment show by themselves, before any state: one trait per anti-evasion row. A segment may show
/// several; the strictest row decides.
public struct FlagTraits: OptionSet, Hashable, Sendable, BitwiseCopyable {
    public var rawValue: UInt8
    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }
    @inlinable public var isEmpty: Bool { rawValue == 0 }
    @inlinable public func contains(_ other: FlagTraits) -> Bool { rawValue & other.rawValue == other.rawValue }

    /// None of the six flags of RFC 9293; ECN bits alone give a segment no meaning.
    public static let zeroFlags = FlagTraits(rawValue: 1 << 0)
    public static let synFin = FlagTraits(rawValue: 1 << 1)
    public static let synRst = FlagTraits(rawValue: 1 << 2)
    public static let rstFin = FlagTraits(rawValue: 1 << 3)
    /// SYN without ACK, with data and without the Fast Open option (RFC 7413 section 3). Data on a SYN+ACK is judged by
    /// the state, which knows whether the SYN had the option.
    public static let synData = FlagTraits(rawValue: 1 << 4)
    public static let urgent = FlagTraits(rawValue: 1 << 5)
    /// CWR or ECE (RFC 3168): refused as CE Flags, every other trait as Invalid Flags.
    public static let congestion = FlagTraits(rawValue: 1 << 6)

    /// Each trait by itself, those that are nonsense before those that a policy may merely dislike.
    public static let each: [FlagTraits] = [.zeroFlags, .synFin, .synRst, .rstFin, .synData, .urgent, .congestion]
}

extension AntiEvasion {
    /// What the row of this one trait says.
    public func action(_ trait: FlagTraits) -> PostureAction {
        switch trait {
        case .zeroFlags: zeroFlags
        case .synFin: synFin
        case .synRst: synRst
        case .rstFin: rstFin
        case .synData: synData
        case .urgent: urgentFlags
        case .congestion: congestionFlags
        default: .allow
        }
    }
}

extension TCPTracker {
    public static func traits(_ s: TCPFields) -> FlagTraits {
        let flags = s.flags
        var traits: FlagTraits = []
        if flags.isDisjoint(with: .ruleFlags) { traits.insert(.zeroFlags) }
        if flags.isSuperset(of: .syn | .fin) { traits.insert(.synFin) }
        if flags.isSuperset(of: .syn | .rst) { traits.insert(.synRst) }
        if flags.isSuperset(of: .rst | .fin) { traits.insert(.rstFin) }
        if flags.contains(.syn), !flags.contains(.ack), s.dataLength > 0, !s.fastOpen { traits.insert(.synData) }
        if flags.contains(.urg) { traits.insert(.urgent) }
        if !flags.isDisjoint(with: .ece | .cwr) { traits.insert(.congestion) }
        return traits
    }

    /// A pure SYN: the only segment that opens a connection.
    public static func isOpening(_ s: TCPFields) -> Bool {
        s.flags.contains(.syn) && s.flags.isDisjoint(with: .ack | .rst | .fin)
    }
}
