// SPDX-License-Identifier: GPL-3.0-or-later

/// Which policy decided what is cached in the connections: their entries say the engine's generation, which changes more
/// often than the policy does.
public struct PolicyEpochs: Sendable {
    private struct Beginning {
        var generation: UInt32
        var epoch: UInt32
    }

    /// Ascending.
    private var beginnings: [Beginning] = []

    /// An entry that is older than so many policies has forgotten its own.
    public static let kept = 4096

    public init() {}

    /// The policy of that epoch is in force from that generation on.
    mutating func begin(_ epoch: UInt32, at generation: UInt32) {
        if beginnings.count == PolicyEpochs.kept { beginnings.removeFirst() }
        beginnings.append(Beginning(generation: generation, epoch: epoch))
    }

    /// The epoch of the policy that was in force in a generation; nil where nothing decided, or too long ago.
    public subscript(generation generation: UInt32) -> UInt32? {
        beginnings.last { $0.generation <= generation }?.epoch
    }
}
