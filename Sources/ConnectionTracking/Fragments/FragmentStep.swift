// SPDX-License-Identifier: GPL-3.0-or-later

/// Why a fragment is refused (stage F); the reason's number in brackets.
public enum FragmentRefusal: UInt8, Error, Sendable, BitwiseCopyable, CaseIterable {
    /// Fragments are refused altogether (108).
    case fragmented
    /// Don't Fragment together with More Fragments or an offset (109).
    case invalidOffset
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
    /// The first fragment did not come in time, or there is no room to wait for it (903).
    case incomplete
}

/// What was decided for a datagram by its first fragment.
public enum DatagramVerdict: Hashable, Sendable, BitwiseCopyable {
    case pass
    /// A reason and a rule (-1: none) in the numbering of the engine, meaningless here, and whether without an event.
    case dropped(reason: UInt8, rule: Int32, silently: Bool = false)

    /// The same without the rule.
    var withoutRule: DatagramVerdict {
        guard case .dropped(let reason, _, let silently) = self else { return self }
        return .dropped(reason: reason, rule: -1, silently: silently)
    }
}

/// A datagram of which fragments were seen; it means nothing any more once its record was given up.
public struct DatagramRecord: Hashable, Sendable, BitwiseCopyable {
    var index: Int32
    var generation: UInt32
}

/// What is to be done with a fragment.
public enum FragmentStep: Hashable, Sendable, BitwiseCopyable {
    /// Drop it; `silently`: count it without an event.
    case refused(FragmentRefusal, silently: Bool)
    /// It has the transport header: judge it as any packet and tell `FragmentTracker.decide`. Also for a duplicate of the
    /// first fragment, whose headers may be others.
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
