// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire
import Testing

@testable import PolicyFile

@Suite("The policies that are shipped")
struct ConfigTests {
    static let files: [String] = {
        let examples = (try? namesInDirectory("\(Fixtures.repository)/Config/examples")) ?? []
        return ["policy.yaml"] + examples.filter { $0.hasSuffix(".yaml") }.map { "examples/\($0)" }
    }()

    @Test("Each loads without a word and compiles", arguments: files)
    func loads(_ file: String) throws {
        let outcome = PolicyFile.read("\(Fixtures.repository)/Config/\(file)")
        #expect(outcome.diagnostics.isEmpty, "\(outcome.rendered)")
        let policy = try Policy(try outcome.get(), epoch: 1)
        #expect(!policy.document.rules.isEmpty)
    }

    @Test("Each closes the incoming direction, admits SSH and answers ping", arguments: files)
    func closesIncoming(_ file: String) throws {
        let rules = try PolicyFile.load("\(Fixtures.repository)/Config/\(file)").rules
        let incoming = rules.filter { $0.direction == .incoming }
        #expect(incoming.contains { $0.action == .allow && $0.name.hasPrefix("SSH") })
        let ping = ICMPMatch(type: 8, code: 0)
        #expect(
            incoming.contains { $0.action == .forceAllow && $0.icmp?.value == ping } || file.hasSuffix("strict.yaml"))
    }

    @Test("The default leaves the outgoing direction free")
    func outgoingFree() throws {
        let policy = try PolicyFile.load("\(Fixtures.repository)/Config/policy.yaml")
        #expect(!policy.rules.contains { $0.direction == .outgoing && [.allow, .deny].contains($0.action) })
        #expect(policy.mode == .inline)
    }

    @Test("The router has an inside, without which nothing forwarded would be judged; the tap drops nothing")
    func namesMeanWhatTheySay() throws {
        #expect(try !PolicyFile.load("\(Fixtures.repository)/Config/examples/router.yaml").interfaces.inside.isEmpty)
        #expect(try PolicyFile.load("\(Fixtures.repository)/Config/examples/tap.yaml").mode == .tap)
        for file in ConfigTests.files where file != "examples/tap.yaml" {
            #expect(try PolicyFile.load("\(Fixtures.repository)/Config/\(file)").mode == .inline, "\(file)")
        }
    }

    @Test("There is one for a web server, a router, a workstation and a tap")
    func names() {
        for name in ["web-server", "router", "workstation", "tap"] {
            #expect(ConfigTests.files.contains("examples/\(name).yaml"))
        }
    }
}
