// SPDX-License-Identifier: GPL-3.0-or-later

package import AgentControl
import FirewallEngine
package import PacketWire

/// The sources that are blocked, as the main thread keeps them: at most as many as a worker's table holds. Times are calendar
/// seconds, so that a block lasts its time over restarts and boots.
package struct BlockBook: Sendable, Equatable {
    package private(set) var blocks: [BlockReport] = []

    package init() {}

    package static var capacity: Int { BlockedSources.capacity }

    package subscript(address: IPAddress) -> BlockReport? { blocks.first { $0.address == address } }

    /// Adds a block, or puts it in the place of that of the same source; false where there is no room.
    package mutating func add(_ block: BlockReport) -> Bool {
        if let index = blocks.firstIndex(where: { $0.address == block.address }) {
            blocks[index] = block
        } else if blocks.count < Self.capacity {
            blocks.append(block)
        } else {
            return false
        }
        return true
    }

    package mutating func remove(_ address: IPAddress) -> BlockReport? {
        blocks.firstIndex { $0.address == address }.map { blocks.remove(at: $0) }
    }

    /// Lets go of those whose time is over; whether there were any.
    package mutating func expire(at now: Int64) -> Bool {
        let count = blocks.count
        blocks.removeAll { $0.until <= now }
        return blocks.count < count
    }
}

/// The file in which they outlive the agent: a line that names the form, then one for each block, with its address, since when,
/// until when, by whom, and why.
extension BlockBook {
    private static let heading = "portreeve blocks 1"

    package var text: String {
        ([Self.heading] + blocks.map { "\($0.address) \($0.since) \($0.until) \($0.author.rawValue) \($0.why)" })
            .map { $0 + "\n" }.joined()
    }

    /// Nil where it is no such file, or damaged: what a part of it says is not believed either.
    package init?(_ text: String) {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.first.map(String.init) == Self.heading, lines.last?.isEmpty == true,
            lines.count <= Self.capacity + 2
        else { return nil }
        for line in lines.dropFirst().dropLast() {
            guard let block = BlockReport(line: line), self[block.address] == nil, add(block) else { return nil }
        }
    }
}

extension BlockReport {
    fileprivate init?(line: Substring) {
        let words = line.split(separator: " ", maxSplits: 4, omittingEmptySubsequences: false)
        guard words.count == 5, let address = IPAddress(parsing: words[0]), let since = Int64(words[1]),
            let until = Int64(words[2]), let author = BlockAuthor(rawValue: String(words[3])),
            BlockRequest.isReason(String(words[4])), since >= 0, until >= since,
            until - since <= BlockRequest.secondsRange.upperBound
        else { return nil }
        self.init(address: address, author: author, since: since, until: until, why: String(words[4]))
    }
}
