// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire

/// The rules of `engine.built-in-rules`: Force Allow at the highest priority, so that a restrictive policy does not cut
/// the host off its addresses, its names and the path MTU (RFC 1191).
struct BuiltInRules {
    /// What stands in for a file in the position of a built-in rule.
    static let file = "built-in"

    private(set) var rules: [Rule] = []

    /// The built-in rules that `document` asks for. Their port lists are added to the document as unnamed ones, unless
    /// equal ones are there.
    init(addingListsTo document: inout PolicyDocument) {
        if document.engine.dhcpAndDNS == .client {
            add("DHCPv4 requests", .outgoing, .ipv4, IPProtocol.udp, from: 68, to: 67, &document)
            add("DHCPv4 answers", .incoming, .ipv4, IPProtocol.udp, from: 67, to: 68, &document)
            add("DHCPv6 requests", .outgoing, .ipv6, IPProtocol.udp, from: 546, to: 547, &document)
            add("DHCPv6 answers", .incoming, .ipv6, IPProtocol.udp, from: 547, to: 546, &document)
        }
        if document.engine.dhcpAndDNS != .off {
            add("DNS queries over UDP", .outgoing, .ip, IPProtocol.udp, from: nil, to: 53, &document)
            add("DNS queries over TCP", .outgoing, .ip, IPProtocol.tcp, from: nil, to: 53, &document)
        }
        if document.engine.pathMTU {
            add("ICMP path MTU", .incoming, .ipv4, IPProtocol.icmp, from: nil, to: nil, &document)
            rules[rules.count - 1].icmp = Criterion(ICMPMatch(type: 3, code: 4))
        }
    }

    private mutating func add(
        _ name: String, _ direction: Direction, _ frame: FrameMatch, _ number: UInt8, from source: UInt16?,
        to destination: UInt16?, _ document: inout PolicyDocument
    ) {
        var rule = Rule(
            name: "Built-in: " + name, action: .forceAllow, priority: 4, direction: direction,
            position: SourcePosition(file: BuiltInRules.file, line: 0, column: 0))
        rule.frame = Criterion(frame)
        rule.protocols = Criterion(.number(number))
        rule.source.ports = source.map { Criterion(document.portList(of: $0)) }
        rule.destination.ports = destination.map { Criterion(document.portList(of: $0)) }
        rules.append(rule)
    }
}

extension PolicyDocument {
    /// Index of the unnamed list of one port, added if there is none.
    fileprivate mutating func portList(of port: UInt16) -> Int {
        let values = [PortRange(first: port, last: port)]
        if let index = portLists.lastIndex(where: { $0.name == nil && $0.values == values }) { return index }
        let position = SourcePosition(file: BuiltInRules.file, line: 0, column: 0)
        portLists.append(NamedList(name: nil, values: values, position: position))
        return portLists.count - 1
    }
}
