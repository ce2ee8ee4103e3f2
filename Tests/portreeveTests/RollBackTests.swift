// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import FirewallPolicy
import Glibc
import PacketFilterRules
import Testing

@testable import portreeve

@Suite("What a pending roll-back remembers")
struct PendingRollBackTests {
    private let own = QueueRulePlan(PolicyDocument(), incoming: .prerouting)
    private let author = CallerSession(ssh: SSHSession("198.51.100.7 40112 192.0.2.10 22"), login: 3, terminal: 0)

    @Test("The rules of both families, of one, or none, and a bridge's table, survive the file")
    func survives() throws {
        let table = BridgeTable(PolicyDocument())
        for rules in [
            own.rulesets, OwnRulesets(families: [.ipv4: OwnRules(), .ipv6: OwnRules()]),
            OwnRulesets(families: [.ipv4: own.rules(for: .ipv4)]), OwnRulesets(families: [.ipv6: OwnRules()]),
            OwnRulesets(), OwnRulesets(bridge: table), OwnRulesets(families: own.rulesets.families, bridge: table),
        ] {
            let pending = PendingRollBack(after: 60, to: rules, by: author)
            #expect(PendingRollBack(pending.text) == pending)
        }
    }

    @Test(
        "A file that is none is not taken for one",
        arguments: ["", "token x\n", "deadline 5\n", "token x\ndeadline soon\n"])
    func garbage(text: String) {
        #expect(PendingRollBack(text) == nil)
    }

    @Test("It is there until it is confirmed or has happened, and what happened is remembered")
    func directory() throws {
        let scratch = ScratchDirectory()
        let directory = RollBackDirectory(path: scratch.path)
        #expect(directory.pending == nil && directory.outcome == nil)
        let pending = PendingRollBack(after: 60, to: OwnRulesets(), by: author)
        try directory.set(pending)
        #expect(directory.pending == pending)
        directory.clear()
        #expect(directory.pending == nil && directory.outcome == nil)
        try directory.set(pending)
        directory.finish("2026-11-21 09:15:02")
        #expect(directory.pending == nil && directory.outcome == "2026-11-21 09:15:02")
        try directory.set(pending)
        #expect(directory.outcome == nil)
        directory.clear()
    }
}

/// A directory for one test.
private final class ScratchDirectory {
    let path: String

    init() {
        var template = Array("/tmp/portreeve-test.XXXXXX".utf8CString)
        _ = unsafe mkdtemp(&template)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        for name in ["pending", "rolled-back", "lock"] { unsafe unlink(path + "/" + name) }
        unsafe rmdir(path)
    }
}
