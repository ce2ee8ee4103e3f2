// SPDX-License-Identifier: GPL-3.0-or-later

public import FirewallPolicy

/// What the engine knows of one network interface.
public struct KnownInterface: Sendable, BitwiseCopyable {
    public var traits: InterfaceTraits
    public var isLoopback: Bool

    public init(traits: InterfaceTraits, isLoopback: Bool) {
        self.traits = traits
        self.isLoopback = isLoopback
    }

    /// An interface that nobody has told the engine about: judged, outside, not loopback.
    public static let unknown = KnownInterface(
        traits: InterfaceTraits(patterns: 0, isIgnored: false, isInside: false), isLoopback: false)
}

/// Kernel interface index → what is known of it. Indices are small on most hosts and in the hundreds of thousands on
/// some container hosts, so the low ones are an array and the others a dictionary; looking up allocates nothing.
public struct InterfaceTable: Sendable {
    private var low: [KnownInterface?]
    private var high: [UInt32: KnownInterface]

    /// Indices below this are array positions.
    private static let lowCount: UInt32 = 1024

    public init() {
        low = Array(repeating: nil, count: Int(InterfaceTable.lowCount))
        high = [:]
    }

    public subscript(index: UInt32) -> KnownInterface? {
        get { index < InterfaceTable.lowCount ? low[Int(index)] : high[index] }
        set {
            if index < InterfaceTable.lowCount { low[Int(index)] = newValue } else { high[index] = newValue }
        }
    }
}
