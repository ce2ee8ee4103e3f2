// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy
import Glibc
import PacketWire

/// One look at the host's interfaces and addresses.
struct LocalNetwork: Equatable {
    struct Interface: Equatable {
        var index: UInt32
        var name: String
        var isLoopback: Bool
    }

    var interfaces: [Interface] = []
    var addresses: Set<IPAddress> = []
    var broadcasts: Set<IPAddress> = []
    var linkAddresses: Set<LinkAddress> = []
    /// Those that the addresses are in, and the addresses themselves.
    private(set) var networks = ConnectedNetworks()

    /// Reads them from the kernel (getifaddrs); nil where there are no descriptors or no memory left to ask it.
    static func read() -> LocalNetwork? {
        var network = LocalNetwork()
        var first: UnsafeMutablePointer<ifaddrs>?
        guard unsafe getifaddrs(&first) == 0 else { return nil }
        defer { unsafe freeifaddrs(first) }
        var connected: [NamedNetwork] = []
        var next = unsafe first
        while let entry = unsafe next {
            guard unsafe network.add(entry.pointee, &connected) else { return nil }
            unsafe next = entry.pointee.ifa_next
        }
        network.interfaces.sort { $0.index < $1.index }
        network.networks = ConnectedNetworks(network.ownNetworks + network.networks(connected))
        return network
    }

    /// What is sent to this host itself goes by the loopback.
    private var ownNetworks: [ConnectedNetworks.Network] {
        guard let loopback = interfaces.first(where: \.isLoopback)?.index else { return [] }
        return addresses.map { ConnectedNetworks.Network(first: $0, last: $0, interface: loopback) }
    }

    private func networks(_ connected: [NamedNetwork]) -> [ConnectedNetworks.Network] {
        connected.compactMap { found in
            // An address may have a label of its own behind the name: "eth0:1".
            let name = found.name.split(separator: ":").first.map(String.init)
            guard let interface = interfaces.first(where: { $0.name == name }) else { return nil }
            return ConnectedNetworks.Network(first: found.first, last: found.last, interface: interface.index)
        }
    }

    private typealias NamedNetwork = (name: String, first: IPAddress, last: IPAddress)

    /// Returns false where the kernel cannot be asked for an index.
    private mutating func add(_ entry: ifaddrs, _ connected: inout [NamedNetwork]) -> Bool {
        let flags = unsafe entry.ifa_flags
        if let name = unsafe entry.ifa_name {
            guard let index = unsafe LocalNetwork.index(entry.ifa_addr, name) else { return false }
            let isLoopback = flags & UInt32(IFF_LOOPBACK) != 0
            if index != 0 {
                interfaces.append(Interface(index: index, name: unsafe String(cString: name), isLoopback: isLoopback))
            }
        }
        guard let address = unsafe LocalNetwork.address(entry.ifa_addr) else { return true }
        addresses.insert(address)
        if let link = unsafe LocalNetwork.link(entry.ifa_addr) {
            linkAddresses.insert(LinkAddress(address, on: link))
        }
        if let name = unsafe entry.ifa_name, let mask = unsafe LocalNetwork.address(entry.ifa_netmask),
            let range = address.network(mask: mask)
        {
            connected.append((unsafe String(cString: name), range.first, range.last))
        }
        if let mask = unsafe LocalNetwork.address(entry.ifa_netmask), let broadcast = address.broadcast(mask: mask) {
            broadcasts.insert(broadcast)
        }
        // An address without a broadcast address (`ip addr add` without `brd`) shows itself in that place.
        if flags & UInt32(IFF_BROADCAST) != 0,
            let broadcast = unsafe LocalNetwork.address(entry.ifa_ifu.ifu_broadaddr), broadcast != address
        {
            broadcasts.insert(broadcast)
        }
        return true
    }

    /// The index of an interface, from its entry for the link layer, which each has once: family, protocol, index
    /// (packet(7)). Without a hardware address (tun, PPP, WireGuard) that entry has no address, and the name is asked for.
    /// 0 of other entries and of an interface that is gone; nil where the kernel cannot be asked.
    private static func index(_ pointer: UnsafeMutablePointer<sockaddr>?, _ name: UnsafePointer<CChar>) -> UInt32? {
        guard let pointer = unsafe pointer else {
            let index = unsafe if_nametoindex(name)
            return index != 0 || errno == ENODEV || errno == ENXIO ? index : nil
        }
        guard Int32(unsafe pointer.pointee.sa_family) == AF_PACKET else { return 0 }
        return unsafe UnsafeRawPointer(pointer).loadUnaligned(fromByteOffset: 4, as: UInt32.self)
    }

    /// The interface of a link-local address of IPv6 (ipv6(7)).
    private static func link(_ pointer: UnsafeMutablePointer<sockaddr>?) -> UInt32? {
        guard let pointer = unsafe pointer, Int32(unsafe pointer.pointee.sa_family) == AF_INET6 else { return nil }
        let scope = unsafe UnsafeRawPointer(pointer).loadUnaligned(as: sockaddr_in6.self).sin6_scope_id
        return scope == 0 ? nil : scope
    }

    private static func address(_ pointer: UnsafeMutablePointer<sockaddr>?) -> IPAddress? {
        guard let pointer = unsafe pointer else { return nil }
        switch Int32(unsafe pointer.pointee.sa_family) {
        case AF_INET:
            let bits = unsafe UnsafeRawPointer(pointer).loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr
            return IPAddress(v4: UInt32(bigEndian: bits))
        case AF_INET6:
            let raw = unsafe UnsafeRawPointer(pointer).loadUnaligned(as: sockaddr_in6.self).sin6_addr
            return unsafe withUnsafeBytes(of: raw) { bytes in
                unsafe IPAddress(
                    high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                    low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
            }
        default: return nil
        }
    }

    /// The name of one interface, asked of the kernel: for a packet of an interface that came up a moment ago.
    static func name(ofInterface index: UInt32) -> String? {
        var name = [CChar](repeating: 0, count: Int(IF_NAMESIZE))
        guard unsafe if_indextoname(index, &name) != nil else { return nil }
        return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The table that the engine looks up, by a policy's patterns.
    func table(_ policy: Policy) -> InterfaceTable {
        var table = InterfaceTable()
        for i in interfaces {
            table[i.index] = KnownInterface(traits: policy.traits(ofInterface: i.name), isLoopback: i.isLoopback)
        }
        return table
    }

    var hostAddresses: HostAddresses {
        HostAddresses(local: addresses, broadcast: broadcasts, linkLocal: linkAddresses)
    }
}

extension IPAddress {
    /// All addresses of the network that this one is in; nil where it is alone.
    fileprivate func network(mask: IPAddress) -> (first: IPAddress, last: IPAddress)? {
        let (high, low) = isMappedV4 ? (UInt64.max, 0xffff_ffff_0000_0000 | UInt64(mask.v4)) : (mask.high, mask.low)
        guard high != .max || low != .max else { return nil }
        return (
            IPAddress(high: self.high & high, low: self.low & low),
            IPAddress(high: self.high | ~high, low: self.low | ~low)
        )
    }

    /// The last address of an IPv4 network, which is its broadcast address for the kernel, whatever else was assigned; a
    /// network of fewer than four addresses has none (RFC 3021).
    fileprivate func broadcast(mask: IPAddress) -> IPAddress? {
        guard isMappedV4, mask.isMappedV4, mask.v4.trailingZeroBitCount >= 2 else { return nil }
        return IPAddress(v4: v4 | ~mask.v4)
    }
}
