// SPDX-License-Identifier: GPL-3.0-or-later

import Testing

@testable import AdministrativeSessions

@Suite("A change is confirmed by somebody who has got in since")
struct CallerSessionTests {
    private static func session(ssh port: Int? = nil, login: UInt32? = nil, terminal: UInt32 = 0) -> CallerSession {
        CallerSession(
            ssh: port.flatMap { SSHSession("198.51.100.7 \($0) 192.0.2.10 22") }, login: login, terminal: terminal)
    }

    /// A pseudo-terminal (major 136), a virtual console (4) and a serial line (4, from minor 64 on).
    private static let (pts, tty1, ttyS0): (UInt32, UInt32, UInt32) = (136 << 8 | 3, 4 << 8 | 1, 4 << 8 | 64)

    @Test(
        "Not by the session that made it, however it is disguised",
        arguments: [
            (session(ssh: 1), session(ssh: 1)), (session(ssh: 1, login: 3), session(ssh: 1, login: 4)),
            // sudo and setsid: no variable is left, no ancestor; the login is.
            (session(ssh: 1, login: 3), session(login: 3)), (session(login: 3), session(login: 3)),
            // In a terminal multiplexer that another session began.
            (session(terminal: pts), session(terminal: pts)), (session(ssh: 1, terminal: pts), session(terminal: pts)),
        ])
    func refused(_ author: CallerSession, _ other: CallerSession) {
        #expect(!author.mayBeConfirmed(by: other))
    }

    @Test(
        "By another SSH connection, by the console, and by what is no session at all",
        arguments: [
            (session(ssh: 1), session(ssh: 2)), (session(ssh: 1, login: 3), session(ssh: 2, login: 3)),
            (session(ssh: 1, login: 3), session(login: 4, terminal: tty1)), (session(ssh: 1), session(terminal: ttyS0)),
            (session(terminal: tty1), session(terminal: tty1)), (session(terminal: tty1), session(ssh: 1)),
            (session(ssh: 1, login: 3), session()), (session(), session()), (session(), session(ssh: 1)),
        ])
    func accepted(_ author: CallerSession, _ other: CallerSession) {
        #expect(author.mayBeConfirmed(by: other))
    }

    @Test(
        "It survives its text",
        arguments: [
            session(), session(ssh: 7), session(login: 0), session(ssh: 7, login: 9, terminal: pts),
            CallerSession(ssh: SSHSession("fe80::1%eth0 1 fd00::2 22"), login: nil, terminal: 0),
        ])
    func text(_ session: CallerSession) {
        #expect(CallerSession(session.text) == session)
    }

    @Test("What is no such text is no session", arguments: ["", "x", "terminal x login - ssh -", "terminal 0 login -"])
    func garbage(_ text: String) {
        #expect(CallerSession(text) == nil)
    }

    @Test("SSH_CONNECTION is read with its zone, and nothing else is")
    func variable() {
        #expect(SSHSession("fe80::1%eth0 1 fe80::2%eth0 22")?.text == "fe80::1 1 fe80::2 22")
        for text in [
            "", "1.2.3.4 1 1.2.3.5", "1.2.3.4 x 1.2.3.5 22", "1.2.3.4 1 1.2.3.5 22 7", "1.2.3.4 70000 1.2.3.5 22",
        ] {
            #expect(SSHSession(text) == nil)
        }
    }
}
