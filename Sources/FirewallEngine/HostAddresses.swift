// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// An address that means something on one link only.
public struct LinkAddress: Hashable, Sendable {
    public let address: IPAddress
    public let interface: UInt32

    public init(_ address: IPAddress, on interface: UInt32) {
        self.address = address
        self.interface = interface
    }
}

/// The addresses that are this host's own, and the directed broadcast addresses of its networks.
public struct HostAddresses: Sendable {
    private var local: Set<IPAddress>
    /// The link-local ones of IPv6 among them, with their links.
    private var linkLocal: Set<LinkAddress>
    private var broadcast: Set<IPAddress>
    /// A bit for each value of the lowest byte, modulo 64, with which one of `broadcast` ends: it answers for nearly every packet.
    private var lastOfBroadcast: UInt64 = 0

    public init(local: Set<IPAddress> = [], broadcast: Set<IPAddress> = [], linkLocal: Set<LinkAddress> = []) {
        self.local = local
        self.linkLocal = linkLocal
        self.broadcast = broadcast
        for address in broadcast { lastOfBroadcast |= 1 << UInt64(address.v4 & 63) }
    }

    /// Whether it is known which addresses the host has.
    var isKnown: Bool { !local.isEmpty }

    /// Which of these addresses are the host's, and how.
    func tell(of addresses: [IPAddress], into told: inout Circumstances) {
        told.own = addresses.filter { local.contains($0) }
        told.linkLocal = linkLocal.filter { addresses.contains($0.address) }.sorted { $0.interface < $1.interface }
        told.broadcasts = addresses.filter { broadcast.contains($0) }
    }

    /// Whether the packet goes to a group, from an address that is the host's own.
    mutating func sendToGroup(_ headers: inout PacketHeaders) -> Bool {
        isToGroup(&headers) && local.contains(headers.source)
    }

    /// Whether it goes to a multicast or broadcast address.
    mutating func isToGroup(_ headers: inout PacketHeaders) -> Bool {
        switch headers.network {
        case .ipv4: isGroup(headers.destination.v4) || isBroadcast(headers.destination)
        case .ipv6: headers.destination.high >> 56 == 0xff
        default: false
        }
    }

    private func isGroup(_ address: UInt32) -> Bool { address >> 28 == 0xe || address == .max }

    /// Whether it is an address of this host, or on its link one. On another link somebody else may have the same.
    func isOwn(_ address: IPAddress, on interface: UInt32) -> Bool {
        AddressSanity.isLinkLocal(address) && !address.isMappedV4
            ? linkLocal.contains(LinkAddress(address, on: interface)) : local.contains(address)
    }

    /// Whether it is the broadcast address of a network that this host is in.
    func isBroadcast(_ address: IPAddress) -> Bool {
        lastOfBroadcast >> UInt64(address.v4 & 63) & 1 != 0 && broadcast.contains(address)
    }
}

/// The TCP and UDP ports on which a local socket listens, one bit each; a snapshot taken by another thread. It tells
/// Out of Allowed Policy (Open Port) from Out Of Allowed Policy, and who opened a connection that is older than the agent.
public struct ListeningPorts: Sendable {
    private var tcp = [UInt64](repeating: 0, count: 1024)
    private var udp = [UInt64](repeating: 0, count: 1024)
    /// Whether any TCP port is in it: without one it says nothing about those that are not, for it may be that nobody looked.
    public internal(set) var knowsTCP = false

    public init() {}

    public mutating func insert(tcp port: UInt16) {
        tcp[Int(port >> 6)] |= 1 << UInt64(port & 63)
        knowsTCP = true
    }
    public mutating func insert(udp port: UInt16) { udp[Int(port >> 6)] |= 1 << UInt64(port & 63) }

    func contains(_ headers: PacketHeaders) -> Bool {
        let port = headers.destinationPort
        switch headers.transport {
        case .tcp: return contains(tcp: port)
        case .udp: return contains(udp: port)
        default: return false
        }
    }

    func contains(tcp port: UInt16) -> Bool { tcp[Int(port >> 6)] & 1 << UInt64(port & 63) != 0 }
    func contains(udp port: UInt16) -> Bool { udp[Int(port >> 6)] & 1 << UInt64(port & 63) != 0 }
}
