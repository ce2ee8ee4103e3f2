// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PolicyFile
import Testing

@testable import AdministrativeSessions

@Suite("What a policy would do with an administrator's session")
struct SessionTrialTests {
    private func refusal(_ rules: String, of session: String = "198.51.100.7 40112 192.0.2.10 22") throws -> String? {
        let text = "version: 1\n" + rules
        let document = try PolicyFile.parse([("test.yaml", Array(text.utf8))]).get()
        return try SessionTrial(document).refusal(of: try #require(SSHSession(session)))
    }

    private static let allow =
        "{ name: SSH, action: allow, direction: incoming, protocol: tcp, destination: { ports: 22 } }"

    @Test("It goes on where its port is allowed, or nothing restricts what comes in, over IPv4 and IPv6")
    func passes() throws {
        #expect(try refusal("rules: [\(Self.allow)]") == nil)
        #expect(try refusal("rules: [\(Self.allow)]", of: "fd00::7 40112 fd00::1 22") == nil)
        #expect(try refusal("") == nil)
    }

    @Test("It is shut out by another port, other addresses, a deny in either direction, and a limit")
    func refuses() throws {
        #expect(
            try refusal("rules: [\(Self.allow)]", of: "198.51.100.7 40112 192.0.2.10 2222")?.contains("next one")
                == true)
        let elsewhere = Self.allow.replacing("direction", with: "source: { addresses: 203.0.113.0/24 }, direction")
        #expect(try refusal("rules: [\(elsewhere)]")?.contains("the next one like it: Out Of Allowed Policy") == true)
        let deny = "{ name: No, action: deny, direction: incoming, protocol: tcp }"
        #expect(try refusal("rules: [\(Self.allow), \(deny)]") == "its incoming packets: Deny Rule (No)")
        let silence = "{ name: No, action: deny, direction: outgoing, protocol: tcp, source: { ports: 22 } }"
        #expect(try refusal("rules: [\(Self.allow), \(silence)]") == "its outgoing packets: Deny Rule (No)")
        let limit = "stateful: { tcp: { limits: { incoming-per-computer: 1 } } }\n"
        #expect(try refusal(limit + "rules: [\(Self.allow)]")?.hasPrefix("the next one like it: Max Incoming") == true)
    }

    @Test("In tap, and of frames that pass through, nobody is shut out")
    func harmless() throws {
        for head in ["mode: tap\n", "queue: { family: bridge }\ninterfaces: { inside: [eth1] }\n"] {
            let text = "version: 1\n\(head)rules: [{ name: No, action: deny, direction: incoming }]"
            let document = try PolicyFile.parse([("test.yaml", Array(text.utf8))]).get()
            let present = SSHSession("127.0.0.1 40112 127.0.0.1 22")
            #expect(SessionGuard(present: present, established: []).refusals(by: document).isEmpty)
        }
    }
}
