// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

extension ConnectionTable {
    /// Whether it has an admitted connection whose sender may just have sent the packet that an ICMP error quotes.
    public mutating func isQuoted(_ quoted: QuotedPacket, at now: Instant) -> Bool {
        guard let packet = ConnectionKey.make(quoted), let i = find(packet.key, at: now), !self[i].refusal.isRefused
        else { return false }
        return packet.key.protocolNumber != IPProtocol.tcp
            || TCPTracker.isPlausibleQuote(self[i].tcp, sequence: quoted.tcpSequence, sentBy: packet.sender)
    }
}
