// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import PacketWire
import TestSupport
import Testing

@testable import AgentRuntime

@Suite("The book of blocked sources")
struct BlockBookTests {
    private func block(_ address: IPAddress, until: Int64 = 1_000, why: String = "") -> BlockReport {
        BlockReport(address: address, author: .administrator, since: 500, until: until, why: why)
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
        #expect(book.remove(IPAddress(v4: 0x0a00_0002)) != nil)
        #expect(book.remove(IPAddress(v4: 0x0a00_0002)) == nil)
        #expect(book.add(block("198.51.100.7")) == true)
    }
}
