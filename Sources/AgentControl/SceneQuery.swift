// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
package import FirewallEngine
import PacketWire

/// Which packet's circumstances are asked for.
package struct SceneQuery: Hashable, Sendable {
    package var packet: PacketIdentity
    /// The name of the interface that it is on; nil: none is named.
    package var interface: String?

    package init(packet: PacketIdentity, interface: String?) {
        self.packet = packet
        self.interface = interface
    }
}

extension SceneQuery {
    var members: [JSONValue.Member] {
        var members: [JSONValue.Member] = [
            .init("version", .count(packet.version)), .init("source", .text(packet.source.description)),
            .init("destination", .text(packet.destination.description)),
            .init("source_port", .count(packet.sourcePort)), .init("destination_port", .count(packet.destinationPort)),
            .init("keys", .list(packet.keys.map(\.json))),
        ]
        if let interface { members.append(.init("interface", .text(interface))) }
        return members
    }

    init(_ reader: MessageReader) throws(ControlFailure) {
        let keys = try reader.list("keys", ConnectionKey.init)
        guard keys.count <= PacketIdentity.mostKeys else {
            throw ControlFailure(.malformed, "member \"keys\": expected at most \(PacketIdentity.mostKeys)")
        }
        packet = PacketIdentity(
            version: try reader.integer("version"), source: try reader.address("source"),
            destination: try reader.address("destination"), sourcePort: try reader.integer("source_port"),
            destinationPort: try reader.integer("destination_port"), keys: keys)
        interface = try reader.optional("interface", reader.text)
    }
}

extension ConnectionKey {
    fileprivate var json: JSONValue {
        [
            "low": .text(lowAddress.description), "high": .text(highAddress.description),
            "low_port": .count(lowPortOrIdentifier), "high_port": .count(highPortOrIdentifier),
            "protocol": .count(protocolNumber), "version": .count(version), "query": .count(queryType),
        ]
    }

    fileprivate init(_ reader: MessageReader) throws(ControlFailure) {
        self.init(
            lowAddress: try reader.address("low"), highAddress: try reader.address("high"),
            lowPortOrIdentifier: try reader.integer("low_port"), highPortOrIdentifier: try reader.integer("high_port"),
            protocolNumber: try reader.integer("protocol"), version: try reader.integer("version"),
            queryType: try reader.integer("query"))
    }
}

extension MessageReader {
    func address(_ name: String) throws(ControlFailure) -> IPAddress { try word(name) { IPAddress(parsing: $0) } }
}
