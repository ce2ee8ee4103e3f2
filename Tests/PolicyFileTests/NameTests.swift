// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire
import Testing

@testable import PolicyFile

@Suite("Names of services")
struct ServiceNameTests {
    private let services = ServiceNames(
        Array(
            """
            # services(5)
            ssh\t\t22/tcp\t\t\t# SSH Remote Login Protocol
            domain          53/tcp
            domain          53/udp   nameserver
            acr-nema 104/tcp dicom
            dicom 11112/tcp
            echo 7/tcp
            echo 4/ddp
            biff 512/udp comsat
            exec 512/tcp
            mixed 1/tcp
            mixed 3/udp
            mixed 2/sctp
            9pfs 564/tcp\r
            broken
            broken2 x/tcp
            broken3 70000/tcp
            broken4 5
            """.utf8))

    @Test(
        "A name stands for its port in all transports, an alias too, unless it is another's name",
        arguments: [
            ("ssh", "22"), ("domain", "53"), ("nameserver", "53"), ("dicom", "11112"), ("echo", "7"), ("comsat", "512"),
            ("exec", "512"), ("mixed", "1-3"), ("9pfs", "564"),
        ])
    func known(name: String, ports: String) {
        #expect(services.ports(of: name)?.texts == [ports])
    }

    @Test("What is none is none", arguments: ["", "SSH", "tcp", "broken", "broken2", "broken3", "broken4", "#", "22"])
    func unknown(name: String) {
        #expect(services.ports(of: name) == nil)
    }

    @Test("This host's are read")
    func host() {
        #expect(HostServices(.host).names.ports(of: "https")?.texts == ["443"])
    }

    @Test("Where there are none, the error says whose they are")
    func absent() throws {
        let rule = "{ name: A, action: allow, direction: incoming, protocol: tcp, destination: { ports: ssh } }"
        let diagnostic = try #require(parse("version: 1\nrules: [\(rule)]\n").diagnostics.first)
        #expect(diagnostic.found == "the undefined list or service \"ssh\"")
        #expect(diagnostic.suggestion == "names of services are those of /etc/services, which this host has not")
    }
}

@Suite("Lists of lists")
struct ListOfListsTests {
    private func list(_ text: String, _ name: String) throws -> [String] {
        let document = try parse("version: 1\nlists: { \(text) }\n").get()
        return try #require(document.addressLists.first { $0.name == name }).values.texts
    }

    @Test("A list has the values of those that it names, in any order and over several steps")
    func values() throws {
        let text =
            "a: { addresses: [b, 10.0.0.9] }, b: { addresses: [c, d] }, c: { addresses: 10.0.0.8 }, "
            + "d: { addresses: [c, \"fd00::1\"] }"
        #expect(try list(text, "a") == ["10.0.0.8/31", "fd00::1"])
        #expect(try list(text, "b") == ["10.0.0.8", "fd00::1"])
    }

    @Test("Lists of other files count, and a broken file makes none undefined")
    func files() throws {
        let first = Array("version: 1\nlists: { a: { addresses: [b] } }\n".utf8)
        let second = Array("version: 1\nlists: { b: { addresses: [10.0.0.1] } }\n".utf8)
        let both = try PolicyFile.parse([("1", first), ("2", second)]).get()
        #expect(both.addressLists.map(\.values.texts) == [["10.0.0.1"], ["10.0.0.1"]])
        let broken = PolicyFile.parse([("1", first), ("2", Array("version: 1\nlists: [\n".utf8))])
        #expect(broken.diagnostics.count == 1)
    }

    @Test("As many levels as are allowed, and not one more", arguments: [32, 33])
    func levels(count: Int) {
        let chain = (1..<count).map { "l\($0): { ports: l\($0 + 1) }, " }.joined() + "l\(count): { ports: 80 }"
        #expect(
            (parse("version: 1\nlists: { \(chain) }\n").document != nil) == (count <= PolicyDraft.maximumListLevels))
        let backwards = "l\(count): { ports: 80 }" + (1..<count).map { ", l\($0): { ports: l\($0 + 1) }" }.joined()
        #expect((parse("version: 1\nlists: { \(backwards) }\n").document != nil) == (count <= 32))
    }

    @Test("Doubling by names is bounded")
    func doubling() {
        let values = (0..<40_000).map { "10.\($0 >> 15).\($0 >> 7 & 255).\($0 << 1 & 255)" }.joined(separator: ", ")
        let lists = (0..<300).map { "l\($0): { addresses: [base, 192.0.2.\($0 & 255)] }" }.joined(separator: ", ")
        let outcome = parse("version: 1\nlists: { base: { addresses: [\(values)] }, \(lists) }\n")
        #expect(outcome.diagnostics.first?.found.contains("values of lists in mixtures") == true)
    }
}

@Suite("Rules that are off")
struct DisabledRuleTests {
    @Test("An Allow rule that is off admits nothing and restricts nothing; one that is on does both")
    func allow() throws {
        for isOn in [true, false] {
            let document = try parse(
                """
                version: 1
                rules:
                  - { name: A, enabled: \(isOn), action: allow, direction: incoming, protocol: tcp, destination: { ports: 22 } }
                """
            ).get()
            let policy = try Policy(document, epoch: 1)
            #expect(policy.isRestrictive(.incoming) == isOn)
            #expect(document.rules[0].isEnabled == isOn)
        }
    }

    @Test("Offload that is off needs no rules, and stands in nobody's way")
    func offload() throws {
        let bulk = "- { name: Bulk, action: bypass, priority: 1, direction: incoming, protocol: tcp, offload: true }"
        let above =
            "- { name: Odd, ENABLED action: deny, priority: 4, direction: incoming, protocol: tcp, flags: [syn] }"
        let text = "version: 1\nrules:\n\(bulk)\n\(above)\n"
        #expect(parse(text.replacing("ENABLED", with: "enabled: true,")).document == nil)
        let document = try parse(text.replacing("ENABLED", with: "enabled: false,")).get()
        #expect(document.offloadedDirections == [.incoming])
        let off = try parse("version: 1\nrules:\n\(bulk.replacing("offload", with: "enabled: false, offload"))\n").get()
        #expect(off.offloadedDirections.isEmpty)
    }
}
