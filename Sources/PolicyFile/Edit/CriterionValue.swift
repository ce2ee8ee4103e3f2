// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
package import PacketWire

/// A value of a packet that a rule's criterion is about, as the policy file writes it.
package enum CriterionValue: Hashable, Sendable {
    case address(IPAddress)
    case port(UInt16)
    case mac(MACAddress)
    case interface(String)

    var text: String {
        switch self {
        case .address(let address): quotedIfNeeded(AddressRange(first: address, last: address).text)
        case .port(let port): "\(port)"
        case .mac(let mac): quotedIfNeeded("\(mac)")
        case .interface(let name): yamlText(name)
        }
    }

    /// What is left of an entry of a list without this value; nil where the entry does not have it, or stands for other entries.
    func leftOver(of entry: String) -> [String]? {
        switch self {
        case .address(let address):
            guard !isName(entry), let range = try? addressRange(entry), range.first <= address, address <= range.last
            else { return nil }
            var rest: [AddressRange] = []
            if range.first < address { rest.append(AddressRange(first: range.first, last: address.previous)) }
            if address < range.last { rest.append(AddressRange(first: address.next, last: range.last)) }
            return rest.map { quotedIfNeeded($0.text) }
        case .port(let port):
            guard !isName(entry), let range = try? PortSyntax.range(entry), range.first <= port, port <= range.last
            else { return nil }
            var rest: [PortRange] = []
            if range.first < port { rest.append(PortRange(first: range.first, last: port - 1)) }
            if port < range.last { rest.append(PortRange(first: port + 1, last: range.last)) }
            return rest.map(\.text)
        case .mac(let mac): return MACAddress(parsing: entry) == mac ? [] : nil
        case .interface(let name): return entry == name ? [] : nil
        }
    }

    /// A colon would end a key.
    private func quotedIfNeeded(_ text: String) -> String { text.contains(":") ? "\"\(text)\"" : text }
}

extension IPAddress {
    /// The address before; the lowest has none and gives the highest.
    fileprivate var previous: IPAddress {
        low == 0 ? IPAddress(high: high &- 1, low: .max) : IPAddress(high: high, low: low - 1)
    }
}
