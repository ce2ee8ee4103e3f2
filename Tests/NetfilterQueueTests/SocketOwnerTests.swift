// SPDX-License-Identifier: GPL-3.0-or-later

import Testing

@testable import NetfilterQueue

@Suite("The user whom the kernel names as the owner of a socket")
struct SocketOwnerTests {
    @Test("Each user is the one to whom its line of the map leads")
    func mapped() {
        let all = "         0          0 4294967295\n"
        #expect(SocketOwner.outside(0, all) == 0)
        #expect(SocketOwner.outside(997, all) == 997)
        let container = "0 1000 1\n1 100000 65536\n"
        #expect(SocketOwner.outside(0, container) == 1_000)
        #expect(SocketOwner.outside(1, container) == 100_000)
        #expect(SocketOwner.outside(65_536, container) == 165_535)
    }

    @Test("Whom no line maps, or to nobody, is nobody")
    func unmapped() {
        for map in ["", "0 1000 1\n", "0\n", "7 4294967295 5\n", "0 4294967290 20\n"] {
            #expect(SocketOwner.outside(7, map) == nil)
        }
    }

    @Test("This process has an owner")
    func own() { #expect(SocketOwner.ofThisProcess != nil) }
}
