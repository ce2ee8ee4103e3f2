// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
public import PacketWire

/// Reconnaissance: what is told of who asks this host what it is and what it offers. It decides over no packet; it looks at those
/// of no known connection and at those that are refused, whatever refuses them.
extension Engine {
    /// Looks at a packet before its verdict is carried out.
    mutating func watchForScans(_ p: inout Inspection, _ finding: Finding?, _ bytes: RawSpan) {
        guard p.direction == .incoming, !p.isLoopback, !p.hasFalseSource, !p.isDisbelieved, p.headers.isIP,
            p.ruling.outcome != .bypass, finding?.reason.stage != .sanity
        else { return }
        let isByFlags = p.headers.transport == .tcp ? p.headers.tcp.scanByFlags : nil
        let fingerprint = FingerprintProbe(&p.headers)
        let isProbe = isByFlags == nil && probesPort(&p, finding)
        guard isByFlags != nil || fingerprint != nil || isProbe,
            !policy.ignoresScans(by: p.headers.source, of: p.headers.network)
        else { return }
        let i = scans.meet(p.headers.source, version: p.headers.network == .ipv6 ? 6 : 4, at: p.now)
        if let isByFlags { tell(&p, i, isByFlags, bytes) }
        if let fingerprint, hot.detects.contains(.osFingerprint), scans[i].note(fingerprint, at: p.now) {
            tell(&p, i, .osFingerprint, bytes)
        }
        if isProbe, scans[i].attempt(scans.target(&p.headers), at: p.now) { tell(&p, i, .portScan, bytes) }
        blockIfProven(i, at: p.now)
    }

    private mutating func tell(_ p: inout Inspection, _ i: Int, _ kind: ScanKind, _ bytes: RawSpan) {
        guard hot.detects.contains(kind), scans[i].tell(kind, at: p.now) else { return }
        notify(&p, Finding(kind.reason, .none), bytes)
    }

    /// Whether a packet is one of those by which ports are looked for.
    private mutating func probesPort(_ p: inout Inspection, _ finding: Finding?) -> Bool {
        guard hot.detects.contains(.portScan), !isToMany(&p) else { return false }
        switch p.headers.transport {
        case .tcp: return hot.tcpEnabled && p.headers.tcp.probesPort
        case .udp: return finding != nil && hot.udpEnabled && probesUDP(&p)
        default: return false
        }
    }

    /// A refused datagram is either somebody's own, or an answer that came too late: from a server's port, to one of those that
    /// clients have, or to an exchange that was known until a while ago.
    private mutating func probesUDP(_ p: inout Inspection) -> Bool {
        p.headers.sourcePort >= 1024 && !Self.portsOfClients.contains(p.headers.destinationPort)
            && p.exchange == .udp && timeoutOfForgotten(&p) == nil
    }

    /// From which Linux takes those of connections and exchanges that it begins (ip_local_port_range).
    private static var portsOfClients: ClosedRange<UInt16> { 32_768...60_999 }

    private mutating func isToMany(_ p: inout Inspection) -> Bool {
        hostAddresses.isToGroup(&p.headers) || hostAddresses.isBroadcast(p.headers.destination)
    }

    /// A TCP connection has come into another stage: one that a suspect has opened tells what it wants.
    mutating func noteStage(_ p: inout Inspection, _ i: ConnectionIndex) {
        let connection = table[i]
        guard connection.openingDirection == .incoming, connection.tcp.isOfSeenOpening,
            let suspect = scans.find(connection.key.address(of: connection.opener), version: connection.key.version)
        else { return }
        switch connection.stage {
        case .established: scans[suspect].noteEstablished()
        case .finWait1, .finWait2, .closeWait, .closing, .lastACK, .timeWait, .closed:
            scans[suspect].noteEnd(
                from: connection.key.portOrIdentifier(of: connection.opener),
                to: connection.key.portOrIdentifier(of: connection.opener.opposite),
                broughtData: connection.tcp.hasSentData(connection.opener))
            blockIfProven(suspect, at: p.now)
        default: break
        }
    }

    /// A connection is open whose opening got no entry (`Engine+Cookies`).
    mutating func noteOpenedByCookie(_ connection: Connection) {
        guard hot.watchesScans,
            let suspect = scans.find(connection.key.address(of: connection.opener), version: connection.key.version)
        else { return }
        scans[suspect].noteEstablished()
    }

    private mutating func blockIfProven(_ i: Int, at now: Instant) {
        if hot.blocksScanners, scans[i].isToBeBlocked(at: now) { scans.block(scans[i]) }
    }

    /// Sources that are to be blocked, once each.
    public mutating func takeScannersToBlock() -> [BlockedAddress] { scans.takeToBlock() }

    /// How many sources were told of in the last minutes.
    public func scannersKnown(at now: Instant) -> Int { scans.known(at: now) }
}
