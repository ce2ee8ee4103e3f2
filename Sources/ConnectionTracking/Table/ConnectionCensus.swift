// SPDX-License-Identifier: GPL-3.0-or-later

/// How many connections of a table are in which stage; kept up with every change, so that reading it costs nothing.
public struct ConnectionCensus: Sendable, BitwiseCopyable {
    private var counts = InlineArray<15, UInt32>(repeating: 0)
    /// Of all stages together.
    public private(set) var total = 0

    public init() {}

    public internal(set) subscript(stage: ConnectionStage) -> UInt32 {
        get { counts[Int(stage.rawValue)] }
        set {
            total += Int(newValue) - Int(counts[Int(stage.rawValue)])
            counts[Int(stage.rawValue)] = newValue
        }
    }
}
