// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import PacketWire
import TestSupport
import Testing

@testable import AgentRuntime

@Suite("The book of blocked sources")
struct BlockBookTests {
    private func block(
        _ address: IPAddress, by author: BlockAuthor = .administrator, until: Int64 = 1_000, why: String = ""
    ) -> BlockReport {
        BlockReport(address: address, author: author, since: 500, until: until, why: why)
    }

    @Test("What is written is read back as it was")
    func file() throws {
        var book = BlockBook()
        for block in [
            block("198.51.100.7", why: "tries passwords: \"x\"  twice, ünicode "), block("2001:db8::7"),
            BlockReport(
                address: "192.0.2.9", author: try #require(BlockAuthor(program: "fail2ban/sshd")), since: 1, until: 9,
                why: "3 failures"),
            BlockReport(address: "0.0.0.1", author: .reconnaissance, since: 0, until: 86_400 * 366, why: "port scan"),
        ] { #expect(book.add(block) == true) }
        #expect(BlockBook(book.text) == book)
        #expect(BlockBook(BlockBook().text) == BlockBook())
    }

    @Test(
        "A damaged file is refused whole",
        arguments: [
            "", "portreeve blocks 2\n", "portreeve blocks 1", "portreeve blocks 1\n198.51.100.7 1 2 administrator\n",
            "portreeve blocks 1\n198.51.100.7 1 2 some,body x\n",
            "portreeve blocks 1\n198.51.100 1 2 administrator x\n",
            "portreeve blocks 1\n198.51.100.7 2 1 administrator x\n",
            "portreeve blocks 1\n198.51.100.7 -1 1 administrator x\n",
            "portreeve blocks 1\n198.51.100.7 0 9999999999 administrator x\n",
            "portreeve blocks 1\n198.51.100.7 1 2 administrator \u{1b}[2J\n",
            "portreeve blocks 1\n198.51.100.7 1 2 administrator \n198.51.100.7 1 2 administrator \n",
            "portreeve blocks 1\n198.51.100.7 1 2 administrator \n\n",
        ])
    func damaged(text: String) {
        #expect(BlockBook(text) == nil)
    }

    @Test("A cut file is never taken for a whole one")
    func cut() {
        var book = BlockBook()
        _ = book.add(block("198.51.100.7", why: "x"))
        _ = book.add(block("198.51.100.8", why: "y"))
        let text = Array(book.text.utf8)
        for count in 0..<text.count {
            let read = BlockBook(String(decoding: text[..<count], as: UTF8.self))
            // Between two lines it is a whole file of fewer blocks; the agent replaces the file as a whole.
            #expect(read == nil || read.map { $0.blocks.count < 2 } == true)
        }
    }

    @Test("The last block of a source counts; one is over when its time is; the book has an end")
    func times() {
        var book = BlockBook()
        #expect(book.add(block("198.51.100.7", until: 600)) == true)
        #expect(book.add(block("198.51.100.7", until: 700)) == true)
        #expect(book.blocks.count == 1)
        #expect(book.expire(at: 699) == false)
        #expect(book.expire(at: 700) == true)
        #expect(book.blocks.isEmpty)
        for i in 0..<UInt32(BlockBook.capacity) { #expect(book.add(block(IPAddress(v4: 0x0a00_0000 + i))) == true) }
        #expect(book.add(block("198.51.100.7")) == false)
        #expect(book.add(block(IPAddress(v4: 0x0a00_0001), until: 5_000)) == true)
        #expect(book.removeAll(IPAddress(v4: 0x0a00_0002)) != nil)
        #expect(book.removeAll(IPAddress(v4: 0x0a00_0002)) == nil)
        #expect(book.add(block("198.51.100.7")) == true)
    }

    @Test("Who lifts his block leaves those of others, and the longest holds")
    func authors() throws {
        let program = try #require(BlockAuthor(program: "crowdsec"))
        let jail = try #require(BlockAuthor(program: "fail2ban/sshd"))
        let address: IPAddress = "198.51.100.7"
        var book = BlockBook()
        for entry in [
            block(address, until: 600), block(address, by: program, until: 700), block("2001:db8::7", by: jail),
            block(address, by: jail, until: 650), block(address, by: .reconnaissance, until: 640),
        ] { #expect(book.add(entry) == true) }
        #expect(book.longest.map(\.until) == [700, 1_000])
        #expect(BlockBook(book.text) == book)
        #expect(book.add(block(address, by: program, until: 620)) == true, "its own it may shorten")
        #expect(book[address]?.author == jail)
        #expect(book.remove(address, jail)?.until == 650)
        #expect(book.remove(address, jail) == nil)
        #expect(book[address]?.author == .reconnaissance)
        #expect(book.expire(at: 640) == true)
        #expect(book[address] == nil)
        #expect(book.blocks.map(\.address) == ["2001:db8::7"])
        for author in [BlockAuthor.administrator, program] { #expect(book.add(block(address, by: author)) == true) }
        #expect(book.removeAll(address) != nil)
        #expect(book.longest.map(\.address) == ["2001:db8::7"])
    }

    @Test("Programs and detection cannot take the last places, and who has them keeps them over a restart")
    func room() throws {
        let program = try #require(BlockAuthor(program: "crowdsec"))
        var book = BlockBook()
        let own = BlockBook.capacity - BlockBook.keptForAdministrators
        let numbered = { IPAddress(v4: 0x0a00_0000 + UInt32($0 as Int)) }
        for i in 0..<own { #expect(book.add(block(numbered(i), by: program)) == true) }
        for author in [program, .reconnaissance] { #expect(book.add(block("198.51.100.7", by: author)) == false) }
        #expect(book.add(block(numbered(0), by: program, until: 9_000)) == true, "in the place of its own")
        for i in 0..<BlockBook.keptForAdministrators { #expect(book.add(block(numbered(i))) == true) }
        #expect(book.add(block("198.51.100.7")) == false)
        #expect(BlockBook(book.text) == book)
        // As one that kept no places has written it.
        var lines = book.text.split(separator: "\n")
        lines.swapAt(1, lines.count - 1)
        #expect(BlockBook(lines.map { $0 + "\n" }.joined())?.blocks.count == BlockBook.capacity)
    }
}
