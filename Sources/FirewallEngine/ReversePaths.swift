// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// By which interfaces each source may come: those by which the host would send to it (RFC 3704 section 2.3, feasible paths).
///
/// Which table of routes holds for a packet depends on rules that look at more than addresses. A source is taken for possible
/// where the best route to it in any table leaves by the interface, or one of several equally long ones does. It is a snapshot
/// that another thread takes; a look-up allocates nothing and searches each table once, in logarithmic time.
public struct ReversePaths: Sendable {
    /// A route to a network by an interface.
    public struct Route: Hashable, Sendable {
        public let table: UInt32
        public let first: IPAddress
        public let last: IPAddress
        public let interface: UInt32

        /// - Parameters:
        ///   - table: the number of the kernel's table that has it.
        ///   - first: the network's first address.
        ///   - last: the network's last address.
        ///   - interface: the kernel's index.
        public init(table: UInt32, first: IPAddress, last: IPAddress, interface: UInt32) {
            self.table = table
            self.first = first
            self.last = last
            self.interface = interface
        }

        /// The default route of IPv6 goes over the place of the IPv4 addresses.
        fileprivate var isIPv4: Bool { first.isMappedV4 && last.isMappedV4 }
    }

    /// The routes of one table: from each address in `starts` on, up to the next one, those in the group of the same place hold.
    fileprivate struct Table: Sendable {
        var isIPv4: Bool
        var starts: [IPAddress] = []
        /// Index into `groups`; -1 where no route leads.
        var group: [Int32] = []
        /// The interfaces of the routes to one network.
        var groups: [[UInt32]] = []
    }

    /// A table's number stands for one of each family.
    private struct Family: Hashable {
        let table: UInt32
        let isIPv4: Bool
    }

    private var tables: [Table] = []
    /// All that any route names.
    private var routed: Set<UInt32> = []

    public init() {}

    public init(_ routes: [Route]) {
        routed = Set(routes.map(\.interface))
        let families = Dictionary(grouping: routes) { Family(table: $0.table, isIPv4: $0.isIPv4) }
        for (family, members) in families { tables.append(Table(members, isIPv4: family.isIPv4)) }
    }

    /// Routes that answer for one source on one interface as all of these do.
    func excerpt(for source: IPAddress, on interface: UInt32) -> [Route] {
        guard routed.contains(interface) else { return [] }
        let other = source.isMappedV4 ? IPAddress(high: .max, low: .max) : IPAddress(v4: 0)
        let led = contradicts(source, on: interface) ? other : source
        return [Route(table: 0, first: led, last: led, interface: interface)]
    }

    /// Whether routes are known by this interface, and none by it leads to the source.
    func contradicts(_ source: IPAddress, on interface: UInt32) -> Bool {
        guard routed.contains(interface) else { return false }
        for table in tables where table.isIPv4 == source.isMappedV4 {
            if table.leads(to: source, by: interface) { return false }
        }
        return true
    }
}

extension ReversePaths.Table {
    fileprivate init(_ routes: [ReversePaths.Route], isIPv4: Bool) {
        self.isIPv4 = isIPv4
        // Networks lie in each other or apart, so an open one ends before all that were opened before it.
        let sorted = routes.sorted { ($0.first, $1.last) < ($1.first, $0.last) }
        var open: [(last: IPAddress, group: Int32)] = []
        var place = 0
        while place < sorted.count {
            let network = sorted[place]
            close(&open, before: network.first)
            var interfaces: [UInt32] = []
            while place < sorted.count, sorted[place].first == network.first, sorted[place].last == network.last {
                if !interfaces.contains(sorted[place].interface) { interfaces.append(sorted[place].interface) }
                place += 1
            }
            groups.append(interfaces)
            begin(at: network.first, Int32(groups.count - 1))
            open.append((network.last, Int32(groups.count - 1)))
        }
        close(&open, before: nil)
    }

    /// Ends the networks whose last address is before `address`, or all of them: after each one that around it goes on.
    private mutating func close(_ open: inout [(last: IPAddress, group: Int32)], before address: IPAddress?) {
        while let inner = open.last, address.map({ inner.last < $0 }) ?? true {
            open.removeLast()
            if let next = inner.last.successor { begin(at: next, open.last?.group ?? -1) }
        }
    }

    private mutating func begin(at address: IPAddress, _ number: Int32) {
        if starts.last == address {
            group[group.count - 1] = number
        } else {
            starts.append(address)
            group.append(number)
        }
    }

    fileprivate func leads(to address: IPAddress, by interface: UInt32) -> Bool {
        var low = 0
        var high = starts.count
        while low < high {
            let middle = (low + high) / 2
            if starts[middle] <= address { low = middle + 1 } else { high = middle }
        }
        guard low > 0, group[low - 1] >= 0 else { return false }
        return groups[Int(group[low - 1])].contains(interface)
    }
}

extension IPAddress {
    /// Nil of the last one.
    fileprivate var successor: IPAddress? {
        if low != .max { return IPAddress(high: high, low: low + 1) }
        return high == .max ? nil : IPAddress(high: high + 1, low: 0)
    }
}
