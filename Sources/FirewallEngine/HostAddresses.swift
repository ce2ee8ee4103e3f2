// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// The addresses that are this host's own, and the directed broadcast addresses of its networks.
public struct HostAddresses: Sendable {
    private var local: Set<IPAddress>
    private var broadcast: Set<IPAddress>

    public init(local: Set<IPAddress> = [], broadcast: Set<IPAddress> = []) {
        self.local = local
        self.broadcast = broadcast
    }

    /// Whether the packet goes to a group, from an address that is the host's own.
    mutating func sendToGroup(_ headers: inout PacketHeaders) -> Bool {
        isGroup(headers.destination, headers.network) && local.contains(headers.source)
    }

    private func isGroup(_ address: IPAddress, _ network: NetworkProtocol) -> Bool {
        switch network {
        case .ipv4: address.v4 >> 28 == 0xe || address.v4 == .max || broadcast.contains(address)
        case .ipv6: address.high >> 56 == 0xff
        default: false
        }
    }
}

/// The TCP and UDP ports on which a local socket listens, one bit each; a snapshot taken by another thread. It tells
/// Out of Allowed Policy (Open Port) from Out Of Allowed Policy, and who opened a connection that is older than the agent.
public struct ListeningPorts: Sendable {
    private var tcp = [UInt64](repeating: 0, count: 1024)
    private var udp = [UInt64](repeating: 0, count: 1024)
    /// Whether any TCP port is in it: without one it says nothing about those that are not, for it may be that nobody looked.
    public private(set) var knowsTCP = false

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
        case .udp: return udp[Int(port >> 6)] & 1 << UInt64(port & 63) != 0
        default: return false
        }
    }

    func contains(tcp port: UInt16) -> Bool { tcp[Int(port >> 6)] & 1 << UInt64(port & 63) != 0 }
}
