// SPDX-License-Identifier: GPL-3.0-or-later

/// How long packets waited for their verdicts, in buckets as Prometheus counts them. A plain value of fixed size: a worker
/// owns one and adds to it once a batch.
package struct LatencyHistogram: Sendable, BitwiseCopyable {
    /// Upper bounds of the buckets, inclusive; above the last there is one more.
    static let bounds: [(nanoseconds: Int64, seconds: String)] = [
        (10_000, "1e-05"), (25_000, "2.5e-05"), (50_000, "5e-05"), (100_000, "0.0001"), (250_000, "0.00025"),
        (500_000, "0.0005"), (1_000_000, "0.001"), (2_500_000, "0.0025"), (5_000_000, "0.005"), (10_000_000, "0.01"),
        (25_000_000, "0.025"), (100_000_000, "0.1"), (1_000_000_000, "1.0"),
    ]

    /// Packets by bucket, not added up.
    private(set) var counts = InlineArray<14, UInt64>(repeating: 0)
    private(set) var nanoseconds: UInt64 = 0

    package init() {}

    /// Adds packets of which none waited longer than this.
    package mutating func add(_ packets: Int, waited nanoseconds: Int64) {
        let waited = max(0, nanoseconds)
        let place = LatencyHistogram.bounds.firstIndex { waited <= $0.nanoseconds } ?? LatencyHistogram.bounds.count
        counts[place] &+= UInt64(packets)
        self.nanoseconds &+= UInt64(packets) &* UInt64(waited)
    }
}
