// SPDX-License-Identifier: GPL-3.0-or-later

/// Why a fragment is refused (stage F); the reason's number in brackets.
public enum FragmentRefusal: UInt8, Error, Sendable, BitwiseCopyable, CaseIterable {
    /// Fragments are refused altogether (108): by the setting, by the anti-evasion row.
    case fragmented
    case fragmentedByRow
    /// Don't Fragment together with More Fragments or an offset (109).
    case invalidOffset
    /// IPv6, not the last, and no multiple of eight bytes long: its receiver discards it (RFC 8200 section 4.5) (109).
    case unevenLength
    /// (110)
    case firstTooSmall
    /// The datagram would be longer than 65,535 bytes (111).
    case outOfBounds
    /// (112)
    case offsetTooSmall
    /// (136)
    case overlapping
    /// IPv6 below the minimum MTU (148).
    case ipv6TooSmall
    /// The first fragment did not come within `timeouts.fragmentHold` (903).
    case holdOver
    /// The datagram was not complete within `timeouts.fragment` (903).
    case recordOver
    /// Too many fragments wait: this datagram's have waited longest (903).
    case tooManyHeld
    /// No record is kept of the datagram, or it gave way to those of newer ones (903).
    case noRecord
    /// Another datagram of the same identification took its place (903).
    case superseded
}

/// What was decided for a datagram by its first fragment.
public enum DatagramVerdict: Hashable, Sendable, BitwiseCopyable {
    case pass
    case dropped(DatagramRefusal)

    /// The same without the rule.
    var withoutRule: DatagramVerdict {
        guard case .dropped(var refusal) = self else { return self }
        refusal.rule = -1
        refusal.remedyRule = -1
        return .dropped(refusal)
    }
}

/// Why a datagram is dropped, in the numbering of the engine, meaningless here.
public struct DatagramRefusal: Hashable, Sendable, BitwiseCopyable {
    /// All causes that must be turned for it to pass, one bit each.
    public var remedy: UInt128
    /// The rule among these causes, and the one that decided, or -1.
    public var remedyRule: Int32
    public var rule: Int32
    public var reason: UInt8
    public var cause: UInt8
    /// Without an event.
    public var isSilent: Bool

    public init(
        reason: UInt8, rule: Int32, cause: UInt8 = 0, remedy: UInt128 = 0, remedyRule: Int32 = -1,
        isSilent: Bool = false
    ) {
        self.reason = reason
        self.rule = rule
        self.cause = cause
        self.remedy = remedy
        self.remedyRule = remedyRule
        self.isSilent = isSilent
    }
}

/// A datagram of which fragments were seen; it means nothing any more once its record was given up.
public struct DatagramRecord: Hashable, Sendable, BitwiseCopyable {
    var index: Int32
    var generation: UInt32
}

/// What is to be done with a fragment.
public enum FragmentStep: Hashable, Sendable, BitwiseCopyable {
    /// Drop it; `silently`: count it without an event. With a record where its datagram's later fragments share its fate, or
    /// it shares that of its first.
    case refused(FragmentRefusal, silently: Bool, record: DatagramRecord? = nil)
    /// It has the transport header: judge it as any packet and tell `FragmentTracker.decide`. Also for a duplicate of the
    /// first fragment, whose IP header may be another.
    case first(DatagramRecord)
    /// A later fragment of a datagram whose first was judged.
    case decided(DatagramVerdict)
    /// A later fragment before the first. What addresses, protocol and interface alone decide may be settled at once; the
    /// rest has to `FragmentTracker.hold`.
    case awaitsFirst(DatagramRecord)
}

/// What becomes of a held fragment.
public enum FragmentOutcome: Hashable, Sendable, BitwiseCopyable {
    case decided(DatagramVerdict)
    case refused(FragmentRefusal)
}

/// A held fragment that can be settled.
public struct FragmentRelease: Hashable, Sendable, BitwiseCopyable {
    public var ticket: UInt32
    public var outcome: FragmentOutcome
}
