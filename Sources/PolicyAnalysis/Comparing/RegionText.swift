// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import PacketWire

extension Region {
    /// So many intervals of a set are written out.
    private static let mostIntervals = 3

    /// What packets it is, shortly: "tcp from 198.51.100.0/24 to any port 22 on eth0".
    package func text(in universe: PacketUniverse) -> String {
        var words = [protocolText]
        if kind.isIP {
            words.append("from \(addresses(.source, universe))" + ports(.sourcePort))
            words.append("to \(addresses(.destination, universe))" + ports(.destinationPort))
        }
        if let flags = self[.flags], flags != NumberSet(0...63) {
            words.append(flags.isSubset(of: Purpose.openings) ? "that open" : flagsText(flags))
        }
        if let icmp = self[.icmp] { words.append("type \(Self.list(icmp) { "\($0 >> 8)/\($0 & 0xff)" })") }
        if let set = self[.quote], set != NumberSet(0...1) {
            words.append(set.contains(1) ? "of a known exchange" : "of no known exchange")
        }
        if let number = self[.etherType] { words.append("type \(Self.list(number) { "0x" + String($0, radix: 16) })") }
        words += places(universe)
        return words.joined(separator: " ")
    }

    private var protocolText: String {
        switch kind {
        case .tcp4: "tcp"
        case .udp4: "udp"
        case .icmp4: "icmp"
        case .tcp6: "tcp over IPv6"
        case .udp6: "udp over IPv6"
        case .icmp6: "icmpv6"
        case .discovery6: "neighbour discovery and MLD"
        case .other4:
            "protocol " + (self[.protocolNumber].map { Self.list($0) { "\($0)" } } ?? "other than tcp, udp, icmp")
        case .other6:
            "IPv6 protocol "
                + (self[.protocolNumber].map { Self.list($0) { "\($0)" } } ?? "other than tcp, udp, icmpv6")
        case .arp: "ARP"
        case .otherFrame: "frames"
        }
    }

    private func flagsText(_ flags: NumberSet) -> String {
        if flags.intersection(Purpose.openings).isEmpty, flags.size == 64 - Purpose.openings.size {
            return "that open nothing"
        }
        return "with flags \(Self.list(flags) { TCPFlags(rawValue: UInt8($0)).words })"
    }

    private func addresses(_ dimension: Dimension, _ universe: PacketUniverse) -> String {
        func text(_ set: NumberSet, isAll: Bool = true) -> String {
            Self.list(set, isAll: isAll, prefixes: kind.isIPv4 ? 32 : 128) {
                IPAddress(number: $0, of: kind).description(isIPv6: kind.isIPv6)
            }
        }
        let domain = universe.domain(dimension, of: kind)
        if let wanted = self[dimension.ofClasses], wanted != universe.domain(dimension.ofClasses, of: kind),
            let classes = universe.listClasses?.classes(of: kind)
        {
            let first = classes.beginning(of: self[dimension] ?? domain, in: wanted, atLeast: Self.mostIntervals)
            return text(first.addresses, isAll: first.isAll)
        }
        guard let set = self[dimension], set != domain else { return "any" }
        return text(set)
    }

    private func ports(_ dimension: Dimension) -> String {
        guard let set = self[dimension], set != NumberSet(0...0xffff) else { return "" }
        return " port \(Self.list(set) { "\($0)" })"
    }

    private func places(_ universe: PacketUniverse) -> [String] {
        var words: [String] = []
        if let set = self[.interface], set != universe.domain(.interface, of: kind) {
            words.append("on \(Self.list(set) { universe.interfaces[Int($0)].name }) and the like")
        }
        if let set = self[.sourceMAC], set != universe.domain(.sourceMAC, of: kind) {
            words.append("from MAC \(Self.list(set) { universe.sourceMACs[Int($0)]?.description ?? "none" })")
        }
        if let set = self[.sender], set != universe.domain(.sender, of: kind) {
            words.append("sent by \(Self.list(set) { universe.senders[Int($0)]?.text ?? "no process" }) and the like")
        }
        if let set = self[.hour], set != universe.domain(.hour, of: kind) {
            words.append("at some hours (@\(universe.moments[Int(set.first ?? 0)].unixTime))")
        }
        return words
    }

    /// Members and ranges; of many, the first ones and how many more there are. `isAll`: not only the first ones are given.
    fileprivate static func list(
        _ set: NumberSet, isAll: Bool = true, prefixes bits: Int = 0, _ text: (UInt128) -> String
    ) -> String {
        var parts = set.intervals.prefix(mostIntervals).map { interval -> String in
            if interval.first == interval.last { return text(interval.first) }
            if bits > 0, let length = interval.prefixLength(of: bits) { return "\(text(interval.first))/\(length)" }
            return "\(text(interval.first))-\(text(interval.last))"
        }
        let more = set.intervals.count - mostIntervals
        if more > 0 || !isAll { parts.append((isAll ? "" : "at least ") + "\(more + (isAll ? 0 : 1)) more") }
        return parts.joined(separator: ", ")
    }
}

extension NumberSet {
    /// As an entry of a list is written.
    func addressText(isIPv4: Bool) -> String {
        let kind = isIPv4 ? PacketKind.other4 : .other6
        return Region.list(self, prefixes: isIPv4 ? 32 : 128) {
            IPAddress(number: $0, of: kind).description(isIPv6: !isIPv4)
        }
    }
}

extension NumberSet.Interval {
    /// Where it is all addresses with the same first bits, how many these are.
    fileprivate func prefixLength(of bits: Int) -> Int? {
        let size = last - first
        guard size & (size &+ 1) == 0, first & size == 0 else { return nil }
        return bits - (128 - size.leadingZeroBitCount)
    }
}
