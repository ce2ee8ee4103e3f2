// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

/// What the packets of a tiny universe are.
enum TinyWorld {
    case ipv4, ipv6
    /// IPv4 and frames of a bridge.
    case bridge

    /// Addresses follow one another: the first range stands for all before too, the last one for all that follow.
    var ranges: [AddressRange] {
        (0..<4).map { index in
            AddressRange(
                first: index == 0 ? first : address(index), last: index == 3 ? last : address(index))
        }
    }

    /// Of the first and the last range there are two addresses each, so that a packet can go from one to another of the same.
    var pairs: [(IPAddress, IPAddress)] {
        var pairs = [(address(0), neighbours.0), (address(3), neighbours.1)]
        for source in 0..<4 { pairs += (0..<4).filter { $0 != source }.map { (address(source), address($0)) } }
        return pairs
    }

    private func address(_ index: Int) -> IPAddress {
        self == .ipv6 ? IPAddress(high: 0xfd00 << 48, low: UInt64(index)) : IPAddress(v4: 0x0a00_0000 + UInt32(index))
    }

    /// Of IPv6 the first one behind those that stand for IPv4.
    private var first: IPAddress {
        self == .ipv6 ? IPAddress(high: 0, low: 0x0001_0000_0000_0000) : IPAddress(v4: 0)
    }
    private var last: IPAddress { self == .ipv6 ? IPAddress(high: .max, low: .max) : IPAddress(v4: .max) }
    private var neighbours: (IPAddress, IPAddress) {
        self == .ipv6
            ? (IPAddress(high: 0xfc00 << 48, low: 1), IPAddress(high: 0xfd01 << 48, low: 1))
            : (IPAddress(v4: 0x0900_0000), IPAddress(v4: 0x0b00_0000))
    }

    /// What rules ask for of ICMP.
    var messages: [ICMPMatch] {
        self == .ipv6
            ? [ICMPMatch(type: 128), ICMPMatch(type: 2, code: 0), ICMPMatch(type: 135)]
            : [ICMPMatch(type: 8), ICMPMatch(type: 3, code: 4)]
    }

    /// The packets by what they carry.
    func transports(hasSourcePorts: Bool) -> [RuleSubject] {
        var base = RuleSubject()
        base.network = self == .ipv6 ? .ipv6 : .ipv4
        base.etherType = self == .ipv6 ? EtherType.ipv6 : EtherType.ipv4
        let sourcePorts = hasSourcePorts ? TinyPolicies.ports : [40_000]
        var subjects: [RuleSubject] = []
        for (sourcePort, destinationPort) in sourcePorts.flatMap({ port in
            (TinyPolicies.ports + [53]).map { (port, $0) }
        }) {
            for (number, flags) in [(6, TCPFlags.syn), (6, .ack), (6, .syn | .psh), (17, TCPFlags())]
                as [(UInt8, TCPFlags)]
            {
                var subject = base
                subject.protocolNumber = number
                subject.hasPorts = true
                subject.hasFlags = number == 6
                subject.flags = flags
                subject.sourcePort = sourcePort
                subject.destinationPort = destinationPort
                subjects.append(subject)
            }
        }
        let messages: [(UInt8, UInt8, Bool)] =
            self == .ipv6
            ? [(128, 0, true), (2, 0, true), (2, 0, false), (1, 0, true), (135, 0, true)]
            : [(8, 0, true), (3, 4, true), (3, 4, false), (3, 1, true)]
        for (type, code, isKnown) in messages {
            var subject = base
            subject.protocolNumber = self == .ipv6 ? 58 : 1
            subject.hasICMP = true
            subject.icmpType = type
            subject.icmpCode = code
            subject.quotesKnownExchange = isKnown
            subjects.append(subject)
        }
        for number in [2, 47] as [UInt8] where self != .ipv6 || number != 2 {
            var subject = base
            subject.protocolNumber = number
            subjects.append(subject)
        }
        return subjects
    }
}
