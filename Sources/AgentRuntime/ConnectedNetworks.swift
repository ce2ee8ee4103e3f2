// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// Which interface leads to an address, as far as the host's own networks tell it.
///
/// A packet of this host's own whose destination was translated comes with the interface that led to the destination of
/// before. Where it goes now the kernel decides by routes, which are not known here; but destinations are mostly translated
/// to this host itself or to its containers, on networks of their own.
struct ConnectedNetworks: Equatable {
    struct Network: Equatable {
        let first: IPAddress
        let last: IPAddress
        let interface: UInt32
    }

    /// The longest prefixes first.
    private(set) var networks: [Network] = []

    init(_ networks: [Network] = []) {
        self.networks = networks.sorted { $0.size < $1.size }
    }

    /// Nil where no network has the destination of this packet.
    func interface(towardsDestinationOf packet: RawSpan) -> UInt32? {
        guard let destination = Self.destination(of: packet) else { return nil }
        return networks.first { $0.first <= destination && destination <= $0.last }?.interface
    }

    /// RFC 791 section 3.1 and RFC 8200 section 3; nil for what is shorter than its header.
    private static func destination(of packet: RawSpan) -> IPAddress? {
        guard packet.byteCount >= 20 else { return nil }
        if packet.byte(at: 0) >> 4 == 4 { return IPAddress(v4: packet.bigEndian32(at: 16)) }
        guard packet.byteCount >= 40 else { return nil }
        return IPAddress(high: packet.bigEndian64(at: 24), low: packet.bigEndian64(at: 32))
    }
}

extension ConnectedNetworks.Network {
    /// For ordering only: how many addresses, or as many as can be counted.
    fileprivate var size: (UInt64, UInt64) { (last.high &- first.high, last.low &- first.low) }
}
