// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import PacketWire

/// What somebody has tried: who, of whom, which service. Openers choose their source ports, so these are no part of it.
package struct Attempt: Hashable, Sendable {
    package enum Service: Hashable, Sendable {
        case tcp(UInt16)
        case udp(UInt16)
        case icmp(type: UInt8, code: UInt8)
        /// Another protocol, by its number.
        case other(UInt8)

        /// For an order that is the same whatever came first.
        var rank: (Int, Int) {
            switch self {
            case .tcp(let port): (0, Int(port))
            case .udp(let port): (1, Int(port))
            case .icmp(let type, let code): (2, Int(type) << 8 | Int(code))
            case .other(let number): (3, Int(number))
            }
        }
    }

    /// Of its opening packet, as seen from this host.
    package var direction: Direction
    package var service: Service
    /// Who opens.
    package var source: IPAddress
    package var destination: IPAddress
    package var isIPv6: Bool
    /// nil: it is not told apart by interface.
    package var interface: String?

    package init(
        _ direction: Direction, _ service: Service, from source: IPAddress, to destination: IPAddress, isIPv6: Bool,
        interface: String? = nil
    ) {
        self.direction = direction
        self.service = service
        self.source = source
        self.destination = destination
        self.isIPv6 = isIPv6
        self.interface = interface
    }

    /// The other computer: who asks this host, or whom it asks.
    package var peer: IPAddress { direction == .incoming ? source : destination }
    /// This host, or the computer behind it.
    package var own: IPAddress { direction == .incoming ? destination : source }

    /// To all of a link or a group, who answer with their own addresses if at all.
    package var isToMany: Bool {
        isIPv6
            ? destination.high >> 56 == 0xff
            : destination.v4 >> 28 == 0xe || destination.v4 == .max
    }
}

extension Attempt: Comparable {
    package static func < (a: Attempt, b: Attempt) -> Bool {
        if a.direction != b.direction { return a.direction == .incoming }
        if a.service != b.service { return a.service.rank < b.service.rank }
        if a.isIPv6 != b.isIPv6 { return b.isIPv6 }
        if a.destination != b.destination { return a.destination < b.destination }
        if a.source != b.source { return a.source < b.source }
        return (a.interface ?? "") < (b.interface ?? "")
    }
}

extension Attempt {
    /// The packets of such an exchange, from its opening to its first data: what an engine is asked about.
    func packets(sourcePort: UInt16) -> [PacketWords] {
        switch service {
        case .tcp(let port):
            let (mine, theirs): (UInt32, UInt32) = (1_000, 5_000)
            let length = UInt32(Self.payload)
            return [
                segment(.syn, sourcePort, port, isAnswer: false, mine, 0, payload: 0),
                segment(.syn | .ack, sourcePort, port, isAnswer: true, theirs, mine + 1, payload: 0),
                segment(.ack, sourcePort, port, isAnswer: false, mine + 1, theirs + 1, payload: 0),
                segment(.ack | .psh, sourcePort, port, isAnswer: false, mine + 1, theirs + 1, payload: Self.payload),
                segment(
                    .ack | .psh, sourcePort, port, isAnswer: true, theirs + 1, mine + 1 + length, payload: Self.payload),
            ]
        case .udp(let port):
            let asked = words(.udp(source: sourcePort, destination: port), isAnswer: false, payload: Self.payload)
            guard !isToMany else { return [asked] }
            return [asked, words(.udp(source: port, destination: sourcePort), isAnswer: true, payload: Self.payload)]
        case .icmp(let type, let code):
            let asked = words(.icmp(type: type, code: code), isAnswer: false, payload: Self.payload)
            guard !isToMany, let reply = Self.reply(to: type, isIPv6: isIPv6) else { return [asked] }
            return [asked, words(.icmp(type: reply, code: 0), isAnswer: true, payload: Self.payload)]
        case .other(let number): return [words(.other(number), isAnswer: false, payload: 0)]
        }
    }

    private static let payload = 16

    /// What answers a query of this type (RFC 792, RFC 4443 section 4); nil: it is no query.
    static func reply(to type: UInt8, isIPv6: Bool) -> UInt8? {
        if isIPv6 { return type == ICMPv6Type.echoRequest ? ICMPv6Type.echoReply : nil }
        switch type {
        case ICMPType.echoRequest: return ICMPType.echoReply
        case ICMPType.timestampRequest, ICMPType.informationRequest, ICMPType.maskRequest: return type + 1
        default: return nil
        }
    }

    private func segment(
        _ flags: TCPFlags, _ from: UInt16, _ to: UInt16, isAnswer: Bool, _ sequence: UInt32, _ acknowledgement: UInt32,
        payload: Int
    ) -> PacketWords {
        let ends = isAnswer ? (to, from) : (from, to)
        var words = words(.tcp(source: ends.0, destination: ends.1, flags), isAnswer: isAnswer, payload: payload)
        (words.sequence, words.acknowledgement) = (sequence, acknowledgement)
        return words
    }

    private func words(_ transport: PacketWords.Transport, isAnswer: Bool, payload: Int) -> PacketWords {
        var words = PacketWords(isAnswer ? direction.opposite : direction, transport)
        words.interface = interface
        words.isIPv6 = isIPv6
        (words.source, words.destination) = isAnswer ? (destination, source) : (source, destination)
        words.payload = payload
        return words
    }
}

extension Attempt {
    /// The query that a message of this type answers; nil: it answers none.
    package static func request(of type: UInt8, isIPv6: Bool) -> UInt8? {
        if isIPv6 { return type == ICMPv6Type.echoReply ? ICMPv6Type.echoRequest : nil }
        switch type {
        case ICMPType.echoReply: return ICMPType.echoRequest
        case ICMPType.timestampReply, ICMPType.informationReply, ICMPType.maskReply: return type - 1
        default: return nil
        }
    }
}
