// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy
package import PacketWire

/// Which addresses of a capture are this host's, and how much is known of that.
package struct HostGuess: Sendable {
    package enum Sureness: String, Sendable {
        case sure
        case likely
        /// As plausible the other way round.
        case uncertain
    }

    package var addresses: Set<IPAddress> = []
    /// In conversations of others: the side that is taken for this host's.
    var sides: [AddressPair: IPAddress] = [:]
    package var sureness = Sureness.uncertain
    package var why = "nothing was captured that tells"

    init() {}

    init(_ addresses: Set<IPAddress>, _ sureness: Sureness, _ why: String) {
        self.addresses = addresses
        self.sureness = sureness
        self.why = why
    }

    package var ranges: [AddressRange] { addresses.sorted().map { AddressRange(first: $0, last: $0) } }
}

/// Two addresses, whichever speaks.
struct AddressPair: Hashable, Sendable {
    let a: IPAddress
    let b: IPAddress

    init(_ x: IPAddress, _ y: IPAddress) { (a, b) = x < y ? (x, y) : (y, x) }

    func has(_ address: IPAddress) -> Bool { a == address || b == address }
}

extension IPAddress {
    func isGroup(_ network: NetworkProtocol) -> Bool {
        network == .ipv4 ? v4 >> 28 == 0xe || v4 == .max : high >> 56 == 0xff
    }
}
