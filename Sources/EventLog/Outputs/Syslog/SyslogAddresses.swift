// SPDX-License-Identifier: GPL-3.0-or-later

import CSyslogShim
import FirewallPolicy
import Glibc
import PacketWire

/// The addresses of a receiver, which are tried one after the other.
struct SyslogAddresses {
    private var left: [csyslog_peer] = []

    /// The next address; all are looked up anew once each was tried.
    mutating func next(_ endpoint: RemoteEndpoint, of target: SyslogTarget) throws(SyslogFault) -> csyslog_peer {
        if left.isEmpty {
            var found = [csyslog_peer](repeating: csyslog_peer(), count: SyslogAddresses.most)
            let count = unsafe csyslog_resolve(endpoint.host, endpoint.port, &found, found.count)
            guard count > 0 else { throw SyslogFault(target: target, cause: .unknownHost(count)) }
            left = Array(found.prefix(Int(count)))
        }
        return left.removeFirst()
    }

    mutating func forget() { left = [] }

    private static let most = 8
}

extension csyslog_peer {
    func ownPeer(protocolNumber: UInt8) -> OwnPeers.Peer {
        let bytes = unsafe withUnsafeBytes(of: address) { unsafe [UInt8]($0) }
        let (high, low) = (bytes[..<8], bytes[8...])
        return OwnPeers.Peer(
            address: IPAddress(
                high: high.reduce(0) { $0 << 8 | UInt64($1) }, low: low.reduce(0) { $0 << 8 | UInt64($1) }),
            port: port, protocolNumber: protocolNumber)
    }
}
