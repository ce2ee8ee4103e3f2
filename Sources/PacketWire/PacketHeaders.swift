// SPDX-License-Identifier: GPL-3.0-or-later

/// What one packet says about itself, decoded once; policy and state never touch its bytes again.
///
/// After `decode` returned without error: `network`, addresses and lengths are consistent with the bytes present; when
/// `transport` is not `.none` the fixed header of that protocol is complete and its own length fields are consistent.
/// Where `isCut` is set, decoding stopped at the cut: `network` is `.none` if the fixed IP header is not all there, and
/// TCP options behind the cut have their initial values.
/// After a `DecodeError` the fields decoded before the malformation are set and the rest has its initial value, so
/// that the event can say whose packet it was. Nothing is said about checksums (`TransportChecksum`), and nothing
/// about whether addresses make sense: that is `FirewallEngine`'s sanity stage.
package struct PacketHeaders: Sendable, BitwiseCopyable {
    // MARK: Link
    /// EtherType of the frame, or the one its IP version implies where there was no frame.
    package var etherType: UInt16 = 0
    /// VLAN identifier of the outermost tag (IEEE 802.1Q), or `noVLAN`.
    package var vlan: UInt16 = PacketHeaders.noVLAN
    package var sourceMAC = MACAddress.none
    package var destinationMAC = MACAddress.none

    // MARK: Network
    package var network = NetworkProtocol.none
    /// Of IP; of ARP for IPv4 over Ethernet the sender's and the target's.
    package var source = IPAddress.zero
    package var destination = IPAddress.zero
    /// IANA protocol number of what follows the IP header and any IPv6 extension headers. Of a later IPv6 fragment: what
    /// its fragment header says, which may be an extension header.
    package var protocolNumber: UInt8 = 0
    /// TTL or hop limit.
    package var timeToLive: UInt8 = 0
    /// Bytes from the start of the given span to the IP header.
    package var networkOffset: UInt16 = 0
    /// Bytes from the start of the given span to the transport header (or to the fragment's data).
    package var transportOffset: UInt16 = 0
    /// Length in bytes of the IP packet: header and payload. Where the length field is legally 0 (segmentation offload,
    /// jumbogram) the bytes present. Of anything else than IP: the bytes after the link header.
    package var length: UInt32 = 0
    package var fragment = FragmentFields()
    /// IPv6 routing header of type 0 present (RFC 5095); refusing it is the policy's choice.
    package var hasRoutingHeaderZero = false
    /// IPv6 routing header with segments left: `destination` is not the final one (RFC 8200 section 4.4), which alone
    /// enters the transport checksum.
    package var hasSegmentsLeft = false
    /// Nothing follows the IP header and its extension headers; refusing it is the policy's choice.
    package var hasNoPayload = false
    /// Whether bytes that a header or a check needs are missing only because the copy or capture was cut short.
    package var isCut = false

    // MARK: Transport
    /// Which of the fields below are set. `.none`: a later fragment, or a header that was not decoded.
    package var transport = TransportProtocol.none
    /// First fragment (offset 0, more to come) that is too short for its transport header: no malformation yet,
    /// stage F decides between First Fragment Too Small and Unreadable Protocol Header.
    package var transportCutByFragmentation = false
    /// TCP and UDP; 0 otherwise.
    package var sourcePort: UInt16 = 0
    package var destinationPort: UInt16 = 0
    package var tcp = TCPFields()
    package var icmp = ICMPFields()
    /// The packet that an ICMP or ICMPv6 error quotes; `network == .none` when there is none or it is unreadable.
    package var quoted = QuotedPacket()

    @inlinable package static var noVLAN: UInt16 { 0xffff }

    package init() {}

    @inlinable package var isIP: Bool { network == .ipv4 || network == .ipv6 }
}

package enum NetworkProtocol: UInt8, Sendable, BitwiseCopyable { case none, ipv4, ipv6, arp, other }

package enum TransportProtocol: UInt8, Sendable, BitwiseCopyable { case none, tcp, udp, icmp, icmpv6, other }

/// IANA protocol numbers that the code names.
package enum IPProtocol {
    @inlinable package static var hopByHop: UInt8 { 0 }
    @inlinable package static var icmp: UInt8 { 1 }
    @inlinable package static var igmp: UInt8 { 2 }
    @inlinable package static var tcp: UInt8 { 6 }
    @inlinable package static var udp: UInt8 { 17 }
    @inlinable package static var routing: UInt8 { 43 }
    @inlinable package static var fragment: UInt8 { 44 }
    @inlinable package static var encapsulatingSecurityPayload: UInt8 { 50 }
    @inlinable package static var authentication: UInt8 { 51 }
    @inlinable package static var icmpv6: UInt8 { 58 }
    @inlinable package static var noNextHeader: UInt8 { 59 }
    @inlinable package static var destinationOptions: UInt8 { 60 }
}

/// Fragmentation as the IPv4 header (RFC 791) or the IPv6 fragment header (RFC 8200 section 4.5) says.
package struct FragmentFields: Sendable, BitwiseCopyable {
    /// Part of a datagram: offset not 0 or more to come. False for an IPv6 atomic fragment (RFC 8021).
    package var isFragment = false
    package var moreFragments = false
    /// IPv4 only.
    package var dontFragment = false
    /// Byte offset of `length` data bytes within the datagram's payload (for IPv6: within the fragmentable part).
    package var offset: UInt32 = 0
    package var dataLength: UInt32 = 0
    package var identification: UInt32 = 0

    package init() {}
}

/// A TCP header (RFC 9293 section 3.1) and the options that state tracking needs.
package struct TCPFields: Sendable, BitwiseCopyable {
    package var sequence: UInt32 = 0
    package var acknowledgement: UInt32 = 0
    package var flags = TCPFlags()
    /// As in the header, unscaled.
    package var window: UInt16 = 0
    package var urgentPointer: UInt16 = 0
    /// Data bytes after the header, from the IP length (not from the bytes present).
    package var dataLength: UInt32 = 0
    /// Bytes from the start of the given span to the data.
    package var dataOffset: UInt16 = 0
    /// Maximum segment size option, or 0 (RFC 9293 section 3.7.1).
    package var maximumSegmentSize: UInt16 = 0
    /// Window scale shift (RFC 7323 section 2), clamped to 14; `noWindowScale` without the option.
    package var windowScale: UInt8 = TCPFields.noWindowScale
    package var sackPermitted = false
    /// Fast Open option present (RFC 7413; also the experimental kind 254), with or without a cookie.
    package var fastOpen = false
    package var hasTimestamps = false
    /// Time stamp value and echo reply (RFC 7323 section 3).
    package var timestampValue: UInt32 = 0
    package var timestampEcho: UInt32 = 0
    /// Number of SACK blocks (RFC 2018), at most 4, and a hash-free digest of them (xor and rotate of the edges) that tells
    /// equal block lists from different ones.
    package var sackBlockCount: UInt8 = 0
    package var sackDigest: UInt32 = 0
    /// Lowest left edge and highest right edge of the SACK blocks, valid where `sackBlockCount` > 0.
    package var sackLowest: UInt32 = 0
    package var sackHighest: UInt32 = 0

    @inlinable package static var noWindowScale: UInt8 { 0xff }

    package init() {}
}

/// The control bits of a TCP header, in their wire positions.
package struct TCPFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    package var rawValue: UInt8
    @inlinable package init(rawValue: UInt8) { self.rawValue = rawValue }
    @inlinable package static var fin: TCPFlags { TCPFlags(rawValue: 0x01) }
    @inlinable package static var syn: TCPFlags { TCPFlags(rawValue: 0x02) }
    @inlinable package static var rst: TCPFlags { TCPFlags(rawValue: 0x04) }
    @inlinable package static var psh: TCPFlags { TCPFlags(rawValue: 0x08) }
    @inlinable package static var ack: TCPFlags { TCPFlags(rawValue: 0x10) }
    @inlinable package static var urg: TCPFlags { TCPFlags(rawValue: 0x20) }
    @inlinable package static var ece: TCPFlags { TCPFlags(rawValue: 0x40) }
    @inlinable package static var cwr: TCPFlags { TCPFlags(rawValue: 0x80) }
    /// The six that rules look at; ECE and CWR are not rule flags.
    @inlinable package static var ruleFlags: TCPFlags { TCPFlags(rawValue: 0x3f) }

    /// Both sets of flags. Written out, like the two below: a literal such as `[.syn, .rst]` is built by a generic loop,
    /// with an allocation, in every module but this one.
    @inlinable package static func | (a: TCPFlags, b: TCPFlags) -> TCPFlags {
        TCPFlags(rawValue: a.rawValue | b.rawValue)
    }
    @inlinable package func contains(_ other: TCPFlags) -> Bool { rawValue & other.rawValue == other.rawValue }
    @inlinable package func isDisjoint(with other: TCPFlags) -> Bool { rawValue & other.rawValue == 0 }
    @inlinable package func isSuperset(of other: TCPFlags) -> Bool { contains(other) }
    @inlinable package func intersection(_ other: TCPFlags) -> TCPFlags {
        TCPFlags(rawValue: rawValue & other.rawValue)
    }
}

/// ICMP (RFC 792) or ICMPv6 (RFC 4443), told apart by `PacketHeaders.transport`.
package struct ICMPFields: Sendable, BitwiseCopyable {
    package var type: UInt8 = 0
    package var code: UInt8 = 0
    /// Identifier and sequence of queries and replies (echo, time stamp, information, mask); 0 otherwise.
    package var identifier: UInt16 = 0
    package var sequence: UInt16 = 0
    /// Whether the type is an error that quotes a packet (ICMP 3, 4, 5, 11, 12; ICMPv6 1–4).
    package var isError = false

    package init() {}
}

/// The start of a packet as quoted by an ICMP error: at least its addresses and eight transport bytes (RFC 792).
package struct QuotedPacket: Sendable, BitwiseCopyable {
    package var network = NetworkProtocol.none
    package var source = IPAddress.zero
    package var destination = IPAddress.zero
    package var protocolNumber: UInt8 = 0
    /// Set where the quoted bytes hold them: TCP, UDP, or an ICMP query.
    package var transport = TransportProtocol.none
    package var sourcePort: UInt16 = 0
    package var destinationPort: UInt16 = 0
    /// TCP only, always among the first eight bytes.
    package var tcpSequence: UInt32 = 0
    /// ICMP queries only.
    package var icmp = ICMPFields()
    /// The quoted packet was a later fragment: its ports are unknown.
    package var isLaterFragment = false

    package init() {}
}
