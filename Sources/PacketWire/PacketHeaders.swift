// SPDX-License-Identifier: GPL-3.0-or-later

/// What one packet says about itself, decoded once; policy and state never touch its bytes again.
///
/// After `decode` returned without error: `network`, addresses and lengths are consistent with the bytes present; when
/// `transport` is not `.none` the fixed header of that protocol is complete and its own length fields are consistent.
/// Where `isCut` is set, decoding stopped at the cut: `network` is `.none` if the fixed IP header is not all there, and
/// TCP options behind the cut have their initial values, except that a SYN is taken to offer Fast Open and the greatest
/// window scale.
/// After a `DecodeError` the fields decoded before the malformation are set and the rest has its initial value, so
/// that the event can say whose packet it was. Nothing is said about checksums (`TransportChecksum`), and nothing
/// about whether addresses make sense: that is `FirewallEngine`'s sanity stage.
public struct PacketHeaders: Sendable, BitwiseCopyable {
    // MARK: Link
    /// EtherType of the frame, or the one its IP version implies where there was no frame.
    public var etherType: UInt16 = 0
    /// VLAN identifier of the outermost tag (IEEE 802.1Q), or `noVLAN`.
    public var vlan: UInt16 = PacketHeaders.noVLAN
    public var sourceMAC = MACAddress.none
    public var destinationMAC = MACAddress.none

    // MARK: Network
    public var network = NetworkProtocol.none
    /// Of IP; of ARP for IPv4 over Ethernet the sender's and the target's.
    public var source = IPAddress.zero
    public var destination = IPAddress.zero
    /// IANA protocol number of what follows the IP header and any IPv6 extension headers. Of a later IPv6 fragment: what
    /// its fragment header says, which may be an extension header.
    public var protocolNumber: UInt8 = 0
    /// TTL or hop limit.
    public var timeToLive: UInt8 = 0
    /// Bytes from the start of the given span to the IP header.
    public var networkOffset: UInt16 = 0
    /// Bytes from the start of the given span to the transport header (or to the fragment's data).
    public var transportOffset: UInt16 = 0
    /// Length in bytes of the IP packet: header and payload. Where the length field is legally 0 (segmentation offload,
    /// jumbogram) the bytes present. Of anything else than IP: the bytes after the link header.
    public var length: UInt32 = 0
    public var fragment = FragmentFields()
    /// Of IPv4.
    public var options = IPv4Options(rawValue: 0)
    /// IPv6 routing header of type 0 present (RFC 5095); refusing it is the policy's choice.
    public var hasRoutingHeaderZero = false
    /// IPv6 routing header with segments left: `destination` is not the final one (RFC 8200 section 4.4), which alone
    /// enters the transport checksum.
    public var hasSegmentsLeft = false
    /// Nothing follows the IP header and its extension headers; refusing it is the policy's choice.
    public var hasNoPayload = false
    /// Whether bytes that a header or a check needs are missing only because the copy or capture was cut short.
    public var isCut = false

    // MARK: Transport
    /// Which of the fields below are set. `.none`: a later fragment, or a header that was not decoded.
    public var transport = TransportProtocol.none
    /// First fragment (offset 0, more to come) that is too short for its transport header: no malformation yet,
    /// stage F decides between First Fragment Too Small and Unreadable Protocol Header.
    public var transportCutByFragmentation = false
    /// TCP and UDP; 0 otherwise.
    public var sourcePort: UInt16 = 0
    public var destinationPort: UInt16 = 0
    /// UDP's length field, header and data; 0 otherwise.
    public var udpLength: UInt16 = 0
    public var tcp = TCPFields()
    public var icmp = ICMPFields()
    /// The packet that an ICMP or ICMPv6 error quotes; `network == .none` when there is none or it is unreadable.
    public var quoted = QuotedPacket()

    @inlinable public static var noVLAN: UInt16 { 0xffff }

    public init() {}

    @inlinable public var isIP: Bool { network == .ipv4 || network == .ipv6 }
}

public enum NetworkProtocol: UInt8, Sendable, BitwiseCopyable { case none, ipv4, ipv6, arp, other }

public enum TransportProtocol: UInt8, Sendable, BitwiseCopyable { case none, tcp, udp, icmp, icmpv6, other }

/// IANA protocol numbers that the code names.
public enum IPProtocol {
    @inlinable public static var hopByHop: UInt8 { 0 }
    @inlinable public static var icmp: UInt8 { 1 }
    @inlinable public static var igmp: UInt8 { 2 }
    @inlinable public static var tcp: UInt8 { 6 }
    @inlinable public static var udp: UInt8 { 17 }
    @inlinable public static var routing: UInt8 { 43 }
    @inlinable public static var fragment: UInt8 { 44 }
    @inlinable public static var encapsulatingSecurityPayload: UInt8 { 50 }
    @inlinable public static var authentication: UInt8 { 51 }
    @inlinable public static var icmpv6: UInt8 { 58 }
    @inlinable public static var noNextHeader: UInt8 { 59 }
    @inlinable public static var destinationOptions: UInt8 { 60 }
}

/// Fragmentation as the IPv4 header (RFC 791) or the IPv6 fragment header (RFC 8200 section 4.5) says.
public struct FragmentFields: Sendable, BitwiseCopyable {
    /// Part of a datagram: offset not 0 or more to come. False for an IPv6 atomic fragment (RFC 8021).
    public var isFragment = false
    public var moreFragments = false
    /// IPv4 only.
    public var dontFragment = false
    /// Byte offset of `length` data bytes within the datagram's payload (for IPv6: within the fragmentable part).
    public var offset: UInt32 = 0
    public var dataLength: UInt32 = 0
    public var identification: UInt32 = 0

    public init() {}
}

/// A TCP header (RFC 9293 section 3.1) and the options that state tracking needs.
public struct TCPFields: Sendable, BitwiseCopyable {
    public var sequence: UInt32 = 0
    public var acknowledgement: UInt32 = 0
    public var flags = TCPFlags()
    /// As in the header, unscaled.
    public var window: UInt16 = 0
    public var urgentPointer: UInt16 = 0
    /// Data bytes after the header, from the IP length (not from the bytes present).
    public var dataLength: UInt32 = 0
    /// Bytes from the start of the given span to the data.
    public var dataOffset: UInt16 = 0
    /// Maximum segment size option, or 0 (RFC 9293 section 3.7.1).
    public var maximumSegmentSize: UInt16 = 0
    /// Window scale shift (RFC 7323 section 2), clamped to 14; `noWindowScale` without the option.
    public var windowScale: UInt8 = TCPFields.noWindowScale
    public var sackPermitted = false
    /// Fast Open option present (RFC 7413; also the experimental kind 254), with or without a cookie.
    public var fastOpen = false
    public var hasTimestamps = false
    /// Time stamp value and echo reply (RFC 7323 section 3).
    public var timestampValue: UInt32 = 0
    public var timestampEcho: UInt32 = 0
    /// Number of SACK blocks (RFC 2018), at most 4, and a hash-free digest of them (xor and rotate of the edges) that tells
    /// equal block lists from different ones.
    public var sackBlockCount: UInt8 = 0
    public var sackDigest: UInt32 = 0
    /// How the segment is authenticated.
    public var authentication = TCPAuthentication()
    /// Lowest left edge and highest right edge of the SACK blocks, valid where `sackBlockCount` > 0.
    public var sackLowest: UInt32 = 0
    public var sackHighest: UInt32 = 0

    @inlinable public static var noWindowScale: UInt8 { 0xff }

    public init() {}
}

/// The options by which the segments of a connection prove that they are of it.
public struct TCPAuthentication: OptionSet, Hashable, Sendable, BitwiseCopyable {
    public var rawValue: UInt8
    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// The MD5 signature (RFC 2385).
    @inlinable public static var md5: TCPAuthentication { TCPAuthentication(rawValue: 2) }
    /// The authentication option (RFC 5925).
    @inlinable public static var ao: TCPAuthentication { TCPAuthentication(rawValue: 4) }
    /// What the segment has of these cannot be told: there are two, or an option with an impossible length stands before where one
    /// could be. Linux discards such a segment since its version 6.7.
    @inlinable public static var unreadable: TCPAuthentication { TCPAuthentication(rawValue: 8) }
}

/// The control bits of a TCP header, in their wire positions.
public struct TCPFlags: OptionSet, Hashable, Sendable, BitwiseCopyable {
    public var rawValue: UInt8
    @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }
    @inlinable public static var fin: TCPFlags { TCPFlags(rawValue: 0x01) }
    @inlinable public static var syn: TCPFlags { TCPFlags(rawValue: 0x02) }
    @inlinable public static var rst: TCPFlags { TCPFlags(rawValue: 0x04) }
    @inlinable public static var psh: TCPFlags { TCPFlags(rawValue: 0x08) }
    @inlinable public static var ack: TCPFlags { TCPFlags(rawValue: 0x10) }
    @inlinable public static var urg: TCPFlags { TCPFlags(rawValue: 0x20) }
    @inlinable public static var ece: TCPFlags { TCPFlags(rawValue: 0x40) }
    @inlinable public static var cwr: TCPFlags { TCPFlags(rawValue: 0x80) }
    /// The six that rules look at; ECE and CWR are not rule flags.
    @inlinable public static var ruleFlags: TCPFlags { TCPFlags(rawValue: 0x3f) }

    /// Both sets of flags. Written out, like the two below: a literal such as `[.syn, .rst]` is built by a generic loop,
    /// with an allocation, in every module but this one.
    @inlinable public static func | (a: TCPFlags, b: TCPFlags) -> TCPFlags {
        TCPFlags(rawValue: a.rawValue | b.rawValue)
    }
    @inlinable public func contains(_ other: TCPFlags) -> Bool { rawValue & other.rawValue == other.rawValue }
    @inlinable public func isDisjoint(with other: TCPFlags) -> Bool { rawValue & other.rawValue == 0 }
    @inlinable public func isSuperset(of other: TCPFlags) -> Bool { contains(other) }
    @inlinable public func intersection(_ other: TCPFlags) -> TCPFlags {
        TCPFlags(rawValue: rawValue & other.rawValue)
    }
}

/// ICMP (RFC 792) or ICMPv6 (RFC 4443), told apart by `PacketHeaders.transport`.
public struct ICMPFields: Sendable, BitwiseCopyable {
    public var type: UInt8 = 0
    public var code: UInt8 = 0
    /// Identifier and sequence of queries and replies (echo, time stamp, information, mask); 0 otherwise.
    public var identifier: UInt16 = 0
    public var sequence: UInt16 = 0
    /// Whether the type is an error that quotes a packet (ICMP 3, 4, 11, 12; ICMPv6 1–4), or a redirect, which does too
    /// (ICMP 5; ICMPv6 137).
    public var isError = false

    public init() {}
}

/// The start of a packet as quoted by an ICMP error: at least its addresses and eight transport bytes (RFC 792).
public struct QuotedPacket: Sendable, BitwiseCopyable {
    public var network = NetworkProtocol.none
    public var source = IPAddress.zero
    public var destination = IPAddress.zero
    public var protocolNumber: UInt8 = 0
    /// The header and at least eight bytes after it are quoted.
    public var isLongEnough = false
    /// It is itself an error of ICMP or ICMPv6.
    public var isError = false
    /// Set where the quoted bytes hold them: TCP, UDP, or an ICMP query.
    public var transport = TransportProtocol.none
    public var sourcePort: UInt16 = 0
    public var destinationPort: UInt16 = 0
    /// TCP only, always among the first eight bytes.
    public var tcpSequence: UInt32 = 0
    /// ICMP queries only.
    public var icmp = ICMPFields()
    /// The quoted packet was a later fragment: its ports are unknown.
    public var isLaterFragment = false

    public init() {}
}
