// SPDX-License-Identifier: GPL-3.0-or-later

public import ConnectionTracking
public import PacketWire

/// What an event says of a connection that ended. Fixed size, no references.
public struct ConnectionAccount: Sendable, BitwiseCopyable {
    public var ending: ConnectionEnding
    /// The stage that it was in; of an idle one, that whose time was over.
    public var stage: ConnectionStage
    /// When it was opened, or met if it is older than the agent, and when its last packet came.
    public var opened: Instant
    public var lastPacket: Instant
    /// Packets and bytes of IP from who opened it, and back. Refused ones are not among them, nor those that rules had the kernel
    /// let by.
    public var ofOriginator: Traffic
    public var ofResponder: Traffic

    public init(
        ending: ConnectionEnding, stage: ConnectionStage, opened: Instant, lastPacket: Instant, ofOriginator: Traffic,
        ofResponder: Traffic
    ) {
        self.ending = ending
        self.stage = stage
        self.opened = opened
        self.lastPacket = lastPacket
        self.ofOriginator = ofOriginator
        self.ofResponder = ofResponder
    }

    /// The timeout that ended it.
    public var timeout: Cause? { ending == .idle ? Cause(timeoutOf: stage) : nil }

    /// Takes another connection in: what is said is of both then.
    public mutating func add(_ other: ConnectionAccount) {
        opened = min(opened, other.opened)
        lastPacket = max(lastPacket, other.lastPacket)
        ofOriginator.add(other.ofOriginator)
        ofResponder.add(other.ofResponder)
    }
}

extension Traffic {
    fileprivate mutating func add(_ other: Traffic) {
        packets &+= other.packets
        bytes &+= other.bytes
    }
}

extension PacketHeaders {
    /// The ends of a connection, as a packet of its opener has them.
    init(openingOf key: ConnectionKey, by opener: Side) {
        self.init()
        network = key.version == 6 ? .ipv6 : .ipv4
        etherType = key.version == 6 ? 0x86dd : 0x0800
        source = key.address(of: opener)
        destination = key.address(of: opener.opposite)
        protocolNumber = key.protocolNumber
        switch key.protocolNumber {
        case IPProtocol.tcp: transport = .tcp
        case IPProtocol.udp: transport = .udp
        default:
            transport = .icmp
            icmp.type = key.queryType
            icmp.identifier = key.portOrIdentifier(of: opener)
            return
        }
        sourcePort = key.portOrIdentifier(of: opener)
        destinationPort = key.portOrIdentifier(of: opener.opposite)
    }
}
