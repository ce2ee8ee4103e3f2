// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire

/// The rules of `engine.built-in-rules`: Force Allow at the highest priority, so that a restrictive policy does not cut
/// the host off its addresses, its names and the path MTU (RFC 1191, RFC 8201).
struct BuiltInRules {
    /// What stands in for a file in the position of a built-in rule.
    static let file = "built-in"

    private(set) var rules: [Rule] = []

    /// The built-in rules that `document` asks for. Their port lists are added to the document as unnamed ones, unless
    /// equal ones are there.
    init(addingListsTo document: inout PolicyDocument) {
        if document.engine.dhcpAndDNS == .client {
            // Only the ports to which messages go are fixed (RFC 8415 section 7.2, RFC 2131 section 4.1).
            add("DHCPv4 requests", .outgoing, .ipv4, IPProtocol.udp, to: 67, &document)
            add("DHCPv4 answers", .incoming, .ipv4, IPProtocol.udp, to: 68, &document)
            add("DHCPv6 requests", .outgoing, .ipv6, IPProtocol.udp, to: 547, &document)
            add("DHCPv6 answers", .incoming, .ipv6, IPProtocol.udp, to: 546, &document)
        }
        if document.engine.dhcpAndDNS != .off {
            add("DNS queries over UDP", .outgoing, .ip, IPProtocol.udp, to: 53, &document)
            add("DNS queries over TCP", .outgoing, .ip, IPProtocol.tcp, to: 53, &document)
        }
        if document.engine.pathMTU {
            add("ICMP path MTU", .incoming, .ipv4, IPProtocol.icmp, to: nil, &document)
            rules[rules.count - 1].icmp = Criterion(ICMPMatch(type: 3, code: 4))
            rules[rules.count - 1].needsKnownQuote = true
            add("ICMPv6 path MTU", .incoming, .ipv6, IPProtocol.icmpv6, to: nil, &document)
            // Its receiver ignores the code (RFC 4443 section 3.2).
            rules[rules.count - 1].icmp = Criterion(ICMPMatch(type: ICMPv6Type.packetTooBig, code: nil))
            rules[rules.count - 1].needsKnownQuote = true
        }
    }

    private mutating func add(
        _ name: String, _ direction: Direction, _ frame: FrameMatch, _ number: UInt8, to destination: UInt16?,
        _ document: inout PolicyDocument
    ) {
        var rule = Rule(
            name: "Built-in: " + name, action: .forceAllow, priority: 4, direction: direction,
            position: SourcePosition(file: BuiltInRules.file, line: 0, column: 0))
        rule.isBuiltIn = true
        rule.frame = Criterion(frame)
        rule.protocols = Criterion(.number(number))
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
