// SPDX-License-Identifier: GPL-3.0-or-later

internal import CPathShim
package import PacketWire

/// An address with a port, as sockets name it. The family is said, because an IPv4 address and its IPv4-mapped form are the
/// same bits.
package struct Endpoint: Hashable, Sendable {
    package var address: IPAddress
    package var isIPv6: Bool
    package var port: UInt16
    /// Interface index of a link-local address; 0 elsewhere.
    package var scope: UInt32 = 0

    package init(_ address: IPAddress, isIPv6: Bool, port: UInt16 = 0) {
        self.address = address
        self.isIPv6 = isIPv6
        self.port = port
    }

    /// "192.0.2.1" or "2001:db8::1" with that port; nil for anything else. A name is no address.
    package init?(address text: String, port: UInt16 = 0) {
        guard let address = IPAddress(parsing: text) else { return nil }
        self.init(address, isIPv6: text.contains(":"), port: port)
    }

    /// "192.0.2.1:80" or "[2001:db8::1]:80".
    package init?(parsing text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]) else {
            return nil
        }
        var host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        self.init(address: String(host), port: port)
    }

    /// The address that stands for all of a family's.
    package static func any(isIPv6: Bool, port: UInt16 = 0) -> Endpoint {
        Endpoint(isIPv6 ? .zero : IPAddress(v4: 0), isIPv6: isIPv6, port: port)
    }

    package var isAny: Bool { isIPv6 ? address == .zero : address.v4 == 0 }

    package func with(port: UInt16) -> Endpoint {
        var copy = self
        copy.port = port
        return copy
    }

    /// The address alone.
    package var host: String { address.description(isIPv6: isIPv6) }
}

extension Endpoint: CustomStringConvertible {
    package var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }
}

extension Endpoint {
    init(_ c: path_endpoint) {
        address = IPAddress(high: c.high, low: c.low)
        isIPv6 = c.is_ipv6
        port = c.port
        scope = c.scope
    }

    var c: path_endpoint {
        path_endpoint(high: address.high, low: address.low, scope: scope, port: port, is_ipv6: isIPv6)
    }
}

/// The two protocols that a path is tested with.
package enum Transport: String, Sendable, CaseIterable {
    case tcp, udp
}
