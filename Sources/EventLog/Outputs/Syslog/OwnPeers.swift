// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import Locking
import PacketWire
import Synchronization

/// The receivers that outputs send to over the network.
///
/// An event about a packet to one of them must not become a packet to one of them, or each would make the next: those events
/// go to the outputs of this host alone.
final class OwnPeers: Sendable {
    struct Peer: Hashable {
        let address: IPAddress
        let port: UInt16
        let protocolNumber: UInt8
    }

    private let peers = Guarded<[String: [Peer]]>([:])
    /// So that nobody looks where nothing is.
    private let isEmpty = Atomic(true)

    /// Adds the addresses that an output sends to now. Those from before stay, since packets to them may still be told of.
    func add(_ new: [Peer], of output: String) {
        peers.withLock { peers in
            let known = peers[output, default: []].filter { !new.contains($0) }
            peers[output] = known.suffix(OwnPeers.mostKept - min(new.count, OwnPeers.mostKept)) + new
        }
        isEmpty.store(false, ordering: .releasing)
    }

    /// Whether the record is about packets to a receiver, or about TCP from one.
    func concern(_ fields: RecordFields) -> Bool {
        guard !isEmpty.load(ordering: .acquiring), let number = fields.protocolNumber else { return false }
        let isOutgoing = fields.event.metadata.direction == .outgoing
        guard isOutgoing || number == IPProtocol.tcp else { return false }
        let address = isOutgoing ? fields.destination : fields.source
        // What was folded has the first one's source port; an answer's is the same for all.
        let port = isOutgoing ? fields.destinationPort : fields.sourcePort
        guard let address, let port else { return false }
        let peer = Peer(address: address, port: port, protocolNumber: number)
        return peers.withLock { peers in peers.values.contains { $0.contains(peer) } }
    }

    private static let mostKept = 32
}
