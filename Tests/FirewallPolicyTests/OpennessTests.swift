// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@Suite("Whether a listener is open to everybody")
struct OpennessTests {
    private static let address: IPAddress = "192.0.2.10"

    private static func rule(
        _ action: RuleAction, priority: UInt8 = 0, direction: Direction = .incoming,
        _ change: (inout Rule) -> Void = { _ in }
    ) -> Rule {
        var rule = Rule(
            name: "\(action)", action: action, priority: priority, direction: direction,
            position: SourcePosition(file: "", line: 1, column: 1))
        rule.protocols = Criterion(.number(IPProtocol.tcp))
        change(&rule)
        return rule
    }

    private static func isOpen(
        _ rules: [Rule], _ change: (inout PolicyDocument) -> Void = { _ in }
    ) throws -> Bool {
        var document = PolicyDocument()
        document.stateful.synFlood.usesCookies = true
        document.portLists = [80, 443].map { port in
            NamedList(
                name: nil, values: [PortRange(first: port, last: port)],
                position: SourcePosition(file: "", line: 1, column: 1))
        }
        document.rules = rules
        change(&document)
        return try Policy(document, epoch: 1).isOpenToAll(address: address, port: 80, version: 4)
    }

    private static func to80(_ rule: inout Rule) { rule.destination.ports = Criterion(0) }
    private static func to443(_ rule: inout Rule) { rule.destination.ports = Criterion(1) }

    @Test("By an Allow or Force Allow for all, or where no rule restricts")
    func open() throws {
        #expect(try Self.isOpen([]))
        #expect(try Self.isOpen([Self.rule(.allow, Self.to80)]))
        #expect(try Self.isOpen([Self.rule(.forceAllow, priority: 4), Self.rule(.deny, priority: 3)]))
        #expect(try Self.isOpen([Self.rule(.allow, Self.to80), Self.rule(.deny, Self.to443)]))
        #expect(
            try Self.isOpen([
                Self.rule(.allow, Self.to80),
                Self.rule(.deny, direction: .outgoing) { $0.protocols = Criterion(.number(17)) },
            ]))
        #expect(try Self.isOpen([Self.rule(.allow, Self.to80), Self.rule(.allow, direction: .outgoing, Self.to443)]))
        #expect(try Self.isOpen([Self.rule(.allow, Self.to80), Self.rule(.deny) { $0.isEnabled = false }]))
        #expect(
            try Self.isOpen([
                Self.rule(.forceAllow, priority: 2) { $0.interfaces = Criterion(["eth0"]) },
                Self.rule(.allow, Self.to80),
            ]), "who is not admitted by the first is so by the second")
    }

    @Test("Not where anything may judge, tell or count one of the packets in another way")
    func closed() throws {
        let allow = Self.rule(.allow, Self.to80)
        for rules in [
            [Self.rule(.allow, Self.to443)], [allow, Self.rule(.deny)],
            [allow, Self.rule(.deny) { $0.source.ports = Criterion(1) }],
            [allow, Self.rule(.logOnly, priority: 4)], [allow, Self.rule(.bypass, priority: 1)],
            [Self.rule(.allow) { $0.interfaces = Criterion(["eth0"]) }],
            [Self.rule(.allow) { $0.source.ports = Criterion(0) }],
            [Self.rule(.allow) { $0.flags = Criterion(FlagMatch(tested: .syn, set: .syn)) }],
            [Self.rule(.allow) { $0.frame = Criterion(.ipv6) }],
            [allow, Self.rule(.deny, direction: .outgoing) { $0.source.ports = Criterion(0) }],
            [allow, Self.rule(.deny, direction: .outgoing)],
            [Self.rule(.allow) { $0.rate = OpeningRate(count: 10, span: .minutes(1)) }],
            [allow, Self.rule(.bypass, direction: .outgoing)], [allow, Self.rule(.deny) { $0.protocols = nil }],
        ] {
            #expect(try !Self.isOpen(rules), "\(rules.map(\.name))")
        }
        let changes: [(inout PolicyDocument) -> Void] = [
            { $0.mode = .tap }, { $0.stateful.tcpEnabled = false }, { $0.stateful.synFlood.usesCookies = false },
            { $0.stateful.limits.incoming = 5 }, { $0.stateful.limits.halfOpen = 5 },
            { $0.engine.sanity.verifyTCPChecksum = true }, { $0.engine.antiEvasion.checksum = .log },
            { $0.reconnaissance.block = .seconds(60) },
            { $0.engine.sanity.denyReversePath = true }, { $0.engine.sanity.denyOwnSource = true },
            {
                $0.unmatched.incoming = .deny; $0.rules = []
            },
        ]
        for change in changes { #expect(try !Self.isOpen([allow], change)) }
        #expect(try Self.isOpen([allow]) { $0.stateful.limits.outgoing = 5 })
    }
}
