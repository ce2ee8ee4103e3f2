// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@testable import AdministrativeSessions

@Suite("Who is connected to this host's SSH servers")
struct SSHServersTests {
    private static let head =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

    /// 192.0.2.10 listens on 22 (inode 100) and 80 (101), is connected with 198.51.100.7 on 22 (102) and on 80 (103), and
    /// has a connection of its own to 198.51.100.8 port 22 (104) and one that its server made for a client (105).
    private static let ipv4 =
        head + """
               0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1 0 100 0 0 10 0
               1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 101 1 0 100 0 0 10 0
               2: 0A0200C0:0016 076433C6:9CB0 01 00000000:00000000 02:0009CD1F 00000000     0        0 102 2 0 20 4 30 10 -1
               3: 0A0200C0:0050 076433C6:9CB1 01 00000000:00000000 02:0009CD1F 00000000     0        0 103 2 0 20 4 30 10 -1
               4: 0A0200C0:9CB2 086433C6:0016 01 00000000:00000000 02:0009CD1F 00000000     0        0 104 2 0 20 4 30 10 -1
               5: 0A0200C0:9CB3 096433C6:0CEA 01 00000000:00000000 02:0009CD1F 00000000     0        0 105 2 0 20 4 30 10 -1
               6: 0A0200C0:0016 066433C6:9CB0 06 00000000:00000000 02:0009CD1F 00000000     0        0 0 2 0 20 4 30 10 -1

            """
    private static let ipv6 =
        head + """
               0: 000000FD000000000000000001000000:08AE 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 200 1 0 100 0 0 10 0
               1: 000000FD000000000000000001000000:08AE 000000FD000000000000000002000000:9CB0 01 00000000:00000000 00:00000000 00000000     0        0 201 1 0 100 0 0 10 0

            """

    private func servers(configured: Set<UInt16> = [], owned: Set<UInt64> = []) -> SSHServers {
        var table = SocketTable()
        table.add(Self.ipv4)
        table.add(Self.ipv6)
        return SSHServers(table, configured: configured, ownedByServers: owned)
    }

    private let session = SSHSession("198.51.100.7 40112 192.0.2.10 22")

    @Test("Port 22 is taken for one; what this host opens itself, and what only closes, is no session")
    func standard() {
        #expect(servers().ports == [22])
        #expect(servers().sessions == [session])
    }

    @Test("A configured port, or one of a socket that belongs to a server, is one if it listens")
    func others() {
        let other = SSHSession("fd00::2 40112 fd00::1 2222")
        #expect(servers(configured: [2222, 2223]).ports == [22, 2222])
        #expect(Set(servers(configured: [2222]).sessions) == Set([session, other].compactMap { $0 }))
        #expect(servers(owned: [200]).sessions.count == 2)
        // Another program listens for the server: only the connection is the server's own.
        #expect(servers(owned: [201]).sessions.count == 2)
    }

    @Test("A connection that a server made for a client is none")
    func forwarded() {
        #expect(servers(owned: [100, 102, 105]).ports == [22])
        #expect(servers(owned: [100, 102, 105]).sessions == [session])
    }

    @Test("An address is an administrator's while a session of it is established")
    func administrator() {
        #expect(servers().isAdministrator("198.51.100.7"))
        #expect(!servers().isAdministrator("198.51.100.8"))
        #expect(!servers().isAdministrator("192.0.2.10"))
    }

    @Test(
        "Lines that are none are passed over",
        arguments: ["", "x", head, "0: 1:2 3:4 01 a b c d e f", "0: ZZ:0016 0:0 0A 0 0 0 0 0 1"])
    func garbage(_ text: String) {
        var table = SocketTable()
        table.add("heading\n" + text)
        #expect(table.listening.isEmpty && table.established.isEmpty)
    }

    @Test(
        "The configuration of sshd names ports",
        arguments: [
            ("Port 2222\n", [2222]), ("  port=2222 # comment\n#Port 23\nPort 24\n", [2222, 24]),
            ("ListenAddress 192.0.2.1:2222", [2222]), ("ListenAddress [2001:db8::1]:2222", [2222]),
            ("ListenAddress 2001:db8::1", []), ("ListenAddress 192.0.2.1", []), ("PortForwarding 5\nPort none\n", []),
            ("Port \"2222\"", [2222]),
        ] as [(String, [UInt16])])
    func configuration(text: String, ports: [UInt16]) {
        #expect(SSHServers.ports(inConfiguration: text) == ports)
    }
}
