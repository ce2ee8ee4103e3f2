// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

extension AddressRange {
    /// "198.51.100.0/24", "2001:db8::1/64" or one address, as iptables prints it and people type it; bits behind the length
    /// do not matter. Nil for any other text.
    public init?(prefix text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard let address = parts.first.flatMap({ IPAddress(parsing: $0) }), parts.count <= 2 else { return nil }
        let bits = text.contains(":") ? 128 : 32
        guard let length = parts.count == 2 ? Int(parts[1]) : bits, 0...bits ~= length else { return nil }
        let hostBits = UInt64(bits - length)
        let low: UInt64 = hostBits >= 64 ? .max : (1 << hostBits) - 1
        let high: UInt64 = hostBits <= 64 ? 0 : hostBits == 128 ? .max : (1 << (hostBits - 64)) - 1
        self.init(
            first: IPAddress(high: address.high & ~high, low: address.low & ~low),
            last: IPAddress(high: address.high | high, low: address.low | low))
    }
}
