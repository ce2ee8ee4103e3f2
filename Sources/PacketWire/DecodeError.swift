// SPDX-License-Identifier: GPL-3.0-or-later

/// One case per malformation; each maps to exactly one reason of stage V (`DropReason.init(_: DecodeError)`).
public enum DecodeError: UInt8, Error, Sendable, CaseIterable {
    /// Frame shorter than its Ethernet or VLAN header (128).
    case ethernetHeaderCut
    /// IP frame without one IP byte (127).
    case noIPHeader
    /// Version neither 4 nor 6 (118).
    case versionNeitherFourNorSix
    /// Version 4 or 6, but the frame type says the other (134).
    case versionContradictsFrame
    /// IPv4: fewer than 20 bytes, header length beyond the bytes present, or total length below header length (133).
    case ipv4HeaderUnreadable
    /// IPv4: header length field below 5 (900).
    case ipv4HeaderLengthBelowMinimum
    /// IPv4: fewer bytes present than the total length says (107).
    case datagramLengthBeyondPacket
    /// IPv6: fewer than 40 bytes, or fewer than the payload length says (905).
    case ipv6HeaderUnreadable
    /// IPv6 extension headers cut short, out of a legal order, or more than 16 (906).
    case extensionChainInvalid
    /// Too few bytes for the TCP, UDP, ICMP or ICMPv6 header (132).
    case transportHeaderCut
    /// TCP data offset below 5 (131).
    case tcpHeaderLengthBelowMinimum
    /// TCP data offset beyond the bytes present (126).
    case tcpDataOffsetBeyondPacket
    /// UDP length below 8 or beyond the IP payload (149).
    case udpLengthInvalid
}
