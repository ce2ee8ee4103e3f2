// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

/// How a reflector runs.
package struct ReflectorOptions: Sendable {
    /// Where probes are awaited; one of each family, or several.
    package var addresses: [Endpoint]
    /// Shared with those who may scan; nil where the control channel is trusted (standard input and output).
    package var key: SecretKey?
    /// Who may ask for a lease; everybody with the key where it is empty.
    package var peers: [AddressPrefix] = []
    package var limits = ReflectorLimits()

    package init(addresses: [Endpoint], key: SecretKey?) {
        self.addresses = addresses
        self.key = key
    }
}

/// What a reflector spends at most.
package struct ReflectorLimits: Hashable, Sendable {
    /// Scans at a time.
    package var leases = 8
    /// Probes of one lease, TCP and UDP together.
    package var probes = 262_144
    /// Connections of one lease at a time; the next one is closed at once.
    package var connections = 4_096
    /// Answers of one lease in a second; more are left out.
    package var answersPerSecond = 20_000
    /// Connections and datagrams of which nothing more is known than their address, kept for the scan to see.
    package var strangers = 1_024
    /// Senders of SYNs, each with its port, of which the scan is told.
    package var sightings = 65_536
    /// Control connections that have not proven who they are, and how long they have for it.
    package var unprovenClients = 16
    package var handshake = Instant.Span.seconds(5)
    /// Failed proofs of one address within a minute before it is not heard any more.
    package var failures = 5
    /// A lease ends when its scan was silent for this long,
    package var silence = Instant.Span.seconds(60)
    /// and after this long in any case.
    package var lease = Instant.Span.hours(1)
    /// A connection to a port of the lease ends after this long.
    package var connection = Instant.Span.seconds(30)

    package init() {}
}

/// "192.0.2.0/24", or one address.
package struct AddressPrefix: Hashable, Sendable {
    private let first: IPAddress
    private let last: IPAddress
    private let isIPv6: Bool

    package init?(parsing text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let address = Endpoint(address: String(parts[0])) else { return nil }
        let width = address.isIPv6 ? 128 : 32
        guard let length = parts.count == 2 ? Int(parts[1]) : width, (0...width).contains(length) else { return nil }
        let hostBits = width - length
        let high: UInt64 = hostBits > 64 ? (hostBits == 128 ? .max : (1 << UInt64(hostBits - 64)) - 1) : 0
        let low: UInt64 = hostBits >= 64 ? .max : (1 << UInt64(hostBits)) - 1
        first = IPAddress(high: address.address.high & ~high, low: address.address.low & ~low)
        last = IPAddress(high: address.address.high | high, low: address.address.low | low)
        isIPv6 = address.isIPv6
    }

    package func contains(_ endpoint: Endpoint) -> Bool {
        endpoint.isIPv6 == isIPv6 && first <= endpoint.address && endpoint.address <= last
    }
}
