// SPDX-License-Identifier: GPL-3.0-or-later

package import AgentControl
import FirewallEngine
package import PacketWire

/// The sources that are blocked, as the main thread keeps them: at most as many blocks as a worker's table holds. Each author has a
/// block of his own of a source, so that who lifts or changes his leaves those of others as they are; what holds is the longest.
/// Times are calendar seconds, so that a block lasts its time over restarts and boots.
package struct BlockBook: Sendable, Equatable {
    package private(set) var blocks: [BlockReport] = []

    package init() {}

    package static var capacity: Int { BlockedSources.capacity }
    /// Places at the end that programs and detection cannot take.
    package static let keptForAdministrators = 64

    /// How many blocks an author's may be one of.
    package static func capacity(for author: BlockAuthor) -> Int {
        author == .administrator ? capacity : capacity - keptForAdministrators
    }

    /// The block of a source that lasts longest.
    package subscript(address: IPAddress) -> BlockReport? {
        blocks.filter { $0.address == address }.max { $0.until < $1.until }
    }

    package subscript(address: IPAddress, author: BlockAuthor) -> BlockReport? {
        index(address, author).map { blocks[$0] }
    }

    /// Of each source the block that lasts longest.
    package var longest: [BlockReport] {
        var places: [IPAddress: Int] = [:]
        var longest: [BlockReport] = []
        for block in blocks {
            if let place = places[block.address] {
                if longest[place].until < block.until { longest[place] = block }
            } else {
                places[block.address] = longest.count
                longest.append(block)
            }
        }
        return longest
    }

    /// Adds a block, or puts it in the place of that of the same source and author; false where there is no room.
    package mutating func add(_ block: BlockReport) -> Bool {
        add(block, within: Self.capacity(for: block.author))
    }

    private mutating func add(_ block: BlockReport, within capacity: Int) -> Bool {
        if let index = index(block.address, block.author) {
            blocks[index] = block
        } else if blocks.count < capacity {
            blocks.append(block)
        } else {
            return false
        }
        return true
    }

    /// An author's block of a source; nil where he has none.
    package mutating func remove(_ address: IPAddress, _ author: BlockAuthor) -> BlockReport? {
        index(address, author).map { blocks.remove(at: $0) }
    }

    /// Everybody's blocks of a source; the one of them that would have lasted longest.
    package mutating func removeAll(_ address: IPAddress) -> BlockReport? {
        let longest = self[address]
        if longest != nil { blocks.removeAll { $0.address == address } }
        return longest
    }

    private func index(_ address: IPAddress, _ author: BlockAuthor) -> Int? {
        blocks.firstIndex { $0.address == address && $0.author == author }
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
            // Places are kept from those who ask for one, and not from what has one.
            guard let block = BlockReport(line: line), self[block.address, block.author] == nil,
                add(block, within: Self.capacity)
            else { return nil }
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
