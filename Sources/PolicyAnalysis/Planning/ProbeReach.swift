// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
import FirewallPolicy
package import PacketWire

/// What a path tester can send to a host, or from one, where a policy is in force.
package struct ProbeReach: Sendable {
    /// From the side of the policy's host.
    package var direction: Direction
    /// Addresses that probes can be sent from and to, of one family.
    package var sources: [IPAddress]
    package var targets: [IPAddress]
    package var isIPv6: Bool
    /// Ports that probes are sent from: which one a probe gets is not known before.
    package var sourcePorts: [ClosedRange<UInt16>]
    /// By which the probes come, or go, at the policy's host; nil: that is not known.
    package var interface: String?
    package var unixTime: Int64
    /// TCP ports at which no probe can be answered, as the reflector's own.
    package var taken: Set<UInt16> = []

    package init(
        _ direction: Direction, from sources: [IPAddress], to targets: [IPAddress], isIPv6: Bool,
        sourcePorts: [ClosedRange<UInt16>], interface: String? = nil, unixTime: Int64
    ) {
        self.direction = direction
        self.sources = sources
        self.targets = targets
        self.isIPv6 = isIPv6
        self.sourcePorts = sourcePorts
        self.interface = interface
        self.unixTime = unixTime
    }

    /// Of packets to listeners.
    var kinds: [PacketKind] { isIPv6 ? [.tcp6, .udp6] : [.tcp4, .udp4] }

    /// What a probe is of a kind, with everything that it may be. nil: nothing of that gets as far as the rules.
    func region(of kind: PacketKind, in universe: PacketUniverse) -> Region? {
        var region = Region(kind)
        func set(_ addresses: [IPAddress]) -> NumberSet {
            NumberSet(
                addresses.map { address in
                    let number = kind.isIPv4 ? UInt128(address.v4) : address.number
                    return NumberSet.Interval(first: number, last: number)
                })
        }
        region[.source] = universe.domain(.source, of: kind).intersection(set(sources))
        region[.destination] = universe.domain(.destination, of: kind).intersection(set(targets))
        region[.sourcePort] = NumberSet(
            sourcePorts.map { .init(first: UInt128($0.lowerBound), last: UInt128($0.upperBound)) })
        let taken = kind.isTCP ? NumberSet(members: taken.map { Int($0) }) : .empty
        region[.destinationPort] = NumberSet(1...0xffff).subtracting(taken)
        if kind.isTCP { region[.flags] = NumberSet(2...2) }
        region[.interface] = places(in: universe)
        // What comes in has some address, which need not be that of its sender.
        let macs = universe.domain(.sourceMAC, of: kind)
        let none = NumberSet(0...0)
        region[.sourceMAC] = direction == .incoming ? macs.subtracting(none) : macs.intersection(none)
        region[.destinationMAC] = none
        // Who runs the scan is not known.
        return region.isEmpty || universe.judged(region).isEmpty ? nil : region
    }

    /// The rows of interfaces that may be meant.
    private func places(in universe: PacketUniverse) -> NumberSet {
        let rows = universe.interfaces.indices.filter { index in
            interface.map { universe.isAlike($0, index) } ?? (universe.loopback != UInt128(index))
        }
        return NumberSet(members: rows)
    }
}

/// A probe of a plan, as the policy's host sees its first packet.
package struct PlannedProbe: Hashable, Sendable {
    package let isTCP: Bool
    package let source: IPAddress
    package let destination: IPAddress
    package let port: UInt16
    package let isIPv6: Bool
}

/// On which side of a rule's border a probe is.
package struct ProbePurpose: Hashable, Sendable {
    package enum Border: String, Sendable {
        case source
        case destination
        case port
    }

    /// Index in `Policy.rules`.
    package let rule: Int32
    package let isInside: Bool
    package let border: Border
}
