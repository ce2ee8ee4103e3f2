// SPDX-License-Identifier: GPL-3.0-or-later

import AllocationCounter
import FirewallEngine
import FirewallPolicy

/// One kind of packet whose heap allocations are counted, with the packets that come before.
struct AllocationPath {
    let name: String
    /// Judged before, uncounted.
    private let before: [Segments.Packet]
    /// Judged over and over.
    private let packets: [Segments.Packet]
    /// Of the packets, in turn.
    private let expected: [Verdict]
    private let document: PolicyDocument

    init(
        _ name: String, under document: PolicyDocument = AllocationPath.document, after before: [Segments.Packet] = [],
        _ packets: [Segments.Packet], _ expected: Verdict...
    ) {
        self.name = name
        self.document = document
        self.before = before
        self.packets = packets
        self.expected = expected
    }

    /// Counts over a thousand packets, upkeep between batches included.
    ///
    /// - Throws: where a verdict is not the expected one: another path than the name says would be counted.
    func allocationsPerThousand() throws(UnexpectedVerdicts) -> Int {
        var host = Host(document)
        for packet in before { _ = host.judge(packet.bytes, packet.metadata) }
        var unexpected = 0
        let began = pac_allocations()
        for number in 0..<1000 {
            let packet = packets[number % packets.count]
            if host.judge(packet.bytes, packet.metadata) != expected[number % expected.count] { unexpected += 1 }
        }
        let counted = Int(pac_allocations() - began)
        guard unexpected == 0 else { throw UnexpectedVerdicts(count: unexpected) }
        return counted
    }
}

struct UnexpectedVerdicts: Error {
    let count: Int
}
