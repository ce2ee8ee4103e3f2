// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import FirewallPolicy
import PacketWire

extension TinyPolicies {
    /// A packet, and the name of the interface that it is on: each policy has bits of its own for that.
    package struct Packet: Sendable {
        private let interface: String
        private let fields: RuleSubject

        fileprivate init(_ interface: String, _ fields: RuleSubject) {
            self.interface = interface
            self.fields = fields
        }

        package func subject(of policy: Policy) -> RuleSubject {
            var subject = fields
            subject.interfacePatterns = policy.traits(ofInterface: interface).patterns
            return subject
        }
    }

    /// Every packet of one direction that rules of a policy can tell from others: addresses and ports are the ends of the ranges of which
    /// its lists are made. Fields that none of its rules asks for have one value.
    package static func packets(_ document: PolicyDocument, _ direction: Direction) -> [Packet] {
        let rules = document.rules
        let named = rules.contains { $0.interfaces != nil } ? interfaces + ["eth9", "other"] : ["other"]
        let hours: [UInt64] = rules.contains { $0.schedule != nil } ? [0, 1] : [0]
        let isBridge = document.queue.family == .bridge
        let all = [MACAddress.none, mac, MACAddress(bits: 2)]
        // The kernel names no source address of what this host sends itself, and no destination but on a bridge.
        let sources = (direction == .incoming || isBridge) && rules.contains { $0.source.macs != nil } ? all : [.none]
        let destinations = isBridge && rules.contains { $0.destination.macs != nil } ? all : [.none]
        var packets: [Packet] = []
        for base in subjects(document) {
            for (source, destination) in sources.flatMap({ source in destinations.map { (source, $0) } }) {
                for hour in hours {
                    var subject = base
                    subject.direction = direction
                    subject.activeSchedules = hour
                    subject.sourceMAC = source
                    subject.destinationMAC = destination
                    packets += named.map { Packet($0, subject) }
                }
            }
        }
        return packets
    }

    /// Between all pairs of addresses; of a bridge also frames without any.
    private static func subjects(_ document: PolicyDocument) -> [RuleSubject] {
        let isIPv6 = document.rules.contains { $0.frame.value == .ipv6 }
        let world: TinyWorld = document.queue.family == .bridge ? .bridge : isIPv6 ? .ipv6 : .ipv4
        let transports = world.transports(hasSourcePorts: document.rules.contains { $0.source.ports != nil })
        let subjects = world.pairs.flatMap { source, destination in
            transports.map { base in
                var subject = base
                subject.source = source
                subject.destination = destination
                return subject
            }
        }
        guard world == .bridge else { return subjects }
        let frames = [(NetworkProtocol.arp, EtherType.arp), (.other, 0x88cc), (.other, 0x88cd)].map { network, type in
            var subject = RuleSubject()
            subject.network = network
            subject.etherType = type
            return subject
        }
        return subjects + frames
    }
}
