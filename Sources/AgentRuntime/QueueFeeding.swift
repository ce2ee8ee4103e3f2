// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire

/// Whether a queue without packets is worth a word.
///
/// The kernel chooses among balanced queues by a hash over both addresses of a packet. On a quiet host some may go
/// without for long; but where the packets of many address pairs came, and not one of them to this queue, no rule feeds it.
struct QueueFeeding: Sendable {
    /// For each queue. The chance that none of so many falls to a queue that is balanced over is below e⁻¹⁶.
    static let pairsPerQueue = 16

    private struct AddressPair: Hashable {
        let low: IPAddress
        let high: IPAddress
    }

    private let queues: Int
    private var pairs: Set<AddressPair> = []
    /// Where the next look at each worker's connections begins.
    var pages: [ConnectionIndex]

    init(queues: Int) {
        self.queues = queues
        pages = Array(repeating: 0, count: queues)
    }

    /// Enough is known: nothing more needs to be noted.
    var isConclusive: Bool { pairs.count >= queues * QueueFeeding.pairsPerQueue }

    /// Takes down whose packets came since `start`; connections of the run before may have had none.
    mutating func note(_ connections: [Connection], since start: Instant) {
        for connection in connections where connection.lastSeen > start && !isConclusive {
            pairs.insert(AddressPair(low: connection.key.lowAddress, high: connection.key.highAddress))
        }
    }

    /// What to say of the queues that got no packet since the start, if anything; their numbers ascend.
    func complaint(idle: [UInt16]) -> String? {
        guard !idle.isEmpty else { return nil }
        let names = (idle.count == 1 ? "queue " : "queues ") + QueueFeeding.text(idle)
        if idle.count == queues {
            return "no packet has come to \(names) since the start: no rule feeds \(idle.count == 1 ? "it" : "them"); "
                + "see `portreeve iptables --check`, switch on with `portreeve iptables --apply`"
        }
        guard isConclusive else { return nil }
        return "no packet has come to \(names) since the start, though those of \(pairs.count) address pairs came to "
            + "the other queues: the rules do not balance over all of queue.numbers; compare them with "
            + "`portreeve iptables --print`"
    }

    /// Such as `1-3, 5`.
    private static func text(_ numbers: [UInt16]) -> String {
        var runs: [ClosedRange<UInt16>] = []
        for number in numbers {
            if let last = runs.last, Int(last.upperBound) + 1 == Int(number) {
                runs[runs.count - 1] = last.lowerBound...number
            } else {
                runs.append(number...number)
            }
        }
        return runs.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)-\($0.upperBound)" }
            .joined(separator: ", ")
    }
}
