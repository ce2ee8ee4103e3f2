// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

/// FTP: the data connections that a control connection announces are admitted without a rule (POLICY: `stateful.ftp`).
extension Engine {
    /// Reads a segment of a control connection; refuses a command that announces what it must not. `state` is the connection's with
    /// this segment.
    mutating func objectionOfFTP(
        _ p: inout Inspection, _ i: ConnectionIndex, _ side: Side, _ state: TCPState, _ bytes: RawSpan
    ) -> Finding? {
        guard hot.ftp.isOn, p.headers.tcp.flags.contains(.ack) else { return nil }
        let key = table[i].key
        guard let server = serverSide(of: key, opener: table[i].opener) else { return nil }
        let direction = table[i].openingDirection
        guard let cause = ftpCause(&p, direction) else { return nil }
        let client = server.opposite
        let s = p.headers.tcp
        let isBeginning = state.begins(client, at: side == client ? s.sequence : s.acknowledgement)
        let reading = controls.read(
            bytes, s, of: key, from: side, client: client, isBeginning: isBeginning, at: p.now,
            keeping: p.leavesNoTrace ? .nothing : .unlessRefused)
        if reading.isRefused {
            let finding = Finding(.invalidPortCommand, cause)
            if !p.leavesNoTrace, overrides(finding) != nil {
                explain(&p, finding, bytes)
                _ = controls.read(
                    bytes, s, of: key, from: side, client: client, isBeginning: isBeginning, at: p.now,
                    keeping: .always)
            }
            return finding
        }
        if !p.leavesNoTrace { expect(reading, of: key, server: server, openedBy: direction, at: p.now) }
        return nil
    }

    /// Whether the connection's commands are read.
    mutating func isControlOfFTP(_ i: ConnectionIndex) -> Bool {
        hot.ftp.isOn && serverSide(of: table[i].key, opener: table[i].opener) != nil
    }

    /// The side whose port is one of control connections; the opener, which is the client, where both are.
    private mutating func serverSide(of key: ConnectionKey, opener: Side) -> Side? {
        if hot.ftp.isControl(key.portOrIdentifier(of: opener.opposite)) { return opener.opposite }
        return hot.ftp.isControl(key.portOrIdentifier(of: opener)) ? opener : nil
    }

    /// The first setting for which control connections opened in this direction are read; nil: none.
    private mutating func ftpCause(_ p: inout Inspection, _ direction: Direction) -> Cause? {
        let incoming = direction == .incoming
        let active: Cause = incoming ? .ftpIncomingActive : .ftpOutgoingActive
        let passive: Cause = incoming ? .ftpIncomingPassive : .ftpOutgoingPassive
        if hot.ftp.admitsActive(direction), p.isSubject(to: active) { return active }
        return hot.ftp.admitsPassive(direction) && p.isSubject(to: passive) ? passive : nil
    }

    /// Expects what was announced. The server opens the data connection of an active transfer, against the direction in which
    /// the control connection was opened, the client that of a passive one.
    private mutating func expect(
        _ reading: FTPReading, of key: ConnectionKey, server: Side, openedBy direction: Direction, at now: Instant
    ) {
        let (client, peer) = (key.address(of: server.opposite), key.address(of: server))
        if reading.activePort != 0, hot.ftp.admitsActive(direction) {
            var active = Expectation(
                source: peer, destination: client, port: reading.formerActivePort, version: key.version,
                direction: direction.opposite)
            if active.port != 0 { expectations.remove(active, at: now) }
            active.port = reading.activePort
            expectations.expect(active, at: now)
        }
        if reading.passivePort != 0, hot.ftp.admitsPassive(direction) {
            var passive = Expectation(
                source: client, destination: peer, port: reading.formerPassivePort, version: key.version,
                direction: direction)
            if passive.port != 0 { expectations.remove(passive, at: now) }
            passive.port = reading.passivePort
            expectations.expect(passive, at: now)
        }
    }

    /// What the rules say against an opening: that no Allow rule admits it says nothing against one that was announced. On its
    /// way through the loopback interface an opening is seen twice; `i` is its entry, once there is one.
    mutating func refusalOfOpening(_ p: inout Inspection, _ i: ConnectionIndex? = nil) -> Finding? {
        guard let finding = refusalByRules(&p), finding.cause == .noAllowRule, hot.ftp.isOn else {
            return refusalByRules(&p)
        }
        if let i, p.isLoopback, table[i].isAnnounced, !table[i].tcp.phase.isOver { return nil }
        p.isAnnounced = isExpected(&p)
        return p.isAnnounced ? nil : finding
    }

    private mutating func isExpected(_ p: inout Inspection) -> Bool {
        expectations.has(announcement(&p, p.direction), at: p.now)
            || p.isLoopback && expectations.has(announcement(&p, p.direction.opposite), at: p.now)
    }

    /// The opening that was announced has come.
    mutating func expectNoMore(_ p: inout Inspection) {
        expectations.remove(announcement(&p, p.direction), at: p.now)
        if p.isLoopback { expectations.remove(announcement(&p, p.direction.opposite), at: p.now) }
    }

    private mutating func announcement(_ p: inout Inspection, _ direction: Direction) -> Expectation {
        Expectation(
            source: p.headers.source, destination: p.headers.destination, port: p.headers.destinationPort,
            version: p.headers.network == .ipv6 ? 6 : 4, direction: direction)
    }
}
