// SPDX-License-Identifier: GPL-3.0-or-later

import Testing

@testable import NetfilterQueue

@Suite("The kernel's table of queues")
struct QueueTableTests {
    @Test("gives one row per queue")
    func rows() throws {
        let text = """
                0  48213     5 2 65531     7    11   123456  1
            65535 4294901760 0 1     0     0     0        0  1

            """
        let table = QueueTable(text: Array(text.utf8))
        #expect(table.rows.count == 2)
        let row = try #require(table.row(of: 0))
        #expect(row.portID == 48_213)
        #expect(row.waiting == 5)
        #expect(row.copyMode == 2 && row.copyRange == 65_531)
        #expect(row.droppedQueueFull == 7)
        #expect(row.droppedSocketFull == 11)
        #expect(row.lastID == 123_456)
        #expect(table.row(of: 65_535)?.portID == 4_294_901_760)
        #expect(table.row(of: 1) == nil)
    }

    @Test(
        "leaves out a line of another form",
        arguments: ["", "0", "1 2 3 4 5 6 7", "a b c d e f g h 1", "65536 1 1 1 1 1 1 1 1", "1 -1 1 1 1 1 1 1 1"])
    func otherForms(line: String) {
        #expect(QueueTable(text: Array(line.utf8)).rows.isEmpty)
    }
}

@Suite("The kernel's table of netlink sockets")
struct NetlinkSocketTableTests {
    private let text = Array(
        """
        sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode
        0000000000000000 0   4711       00000111 0        0        0     2        0        100
        0000000000000000 12  4711       00000000 0        0        0     2        0        200
        0000000000000000 12  3210987654 00000000 0        0        0     2        0        300

        """.utf8)

    @Test("finds a netfilter socket by its port, not one of another protocol")
    func byPort() {
        #expect(NetlinkSocketTable.inode(ofPort: 4711, in: text) == 200)
        #expect(NetlinkSocketTable.inode(ofPort: 3_210_987_654, in: text) == 300)
        #expect(NetlinkSocketTable.inode(ofPort: 1, in: text) == nil)
    }

    @Test("survives lines that are cut")
    func cutLines() {
        for length in 0..<text.count { _ = NetlinkSocketTable.inode(ofPort: 4711, in: Array(text.prefix(length))) }
    }
}
