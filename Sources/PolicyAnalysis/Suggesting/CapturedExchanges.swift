// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import PacketWire

/// The exchanges of a capture, as they go on: who opened each and whether something came of it. In bounded memory: where there are too
/// many at once, those there are count as ended.
package struct CapturedExchanges: Sendable {
    private struct End: Hashable, Comparable {
        let address: IPAddress
        let port: UInt16

        static func < (a: End, b: End) -> Bool { a.address != b.address ? a.address < b.address : a.port < b.port }
    }

    /// The same of both sides' packets. Of ICMP the ports are its identifier.
    private struct Name: Hashable {
        let low: End
        let high: End
        let protocolNumber: UInt8
        let isIPv6: Bool

        init(_ a: End, _ b: End, _ protocolNumber: UInt8, isIPv6: Bool) {
            (low, high) = a < b ? (a, b) : (b, a)
            self.protocolNumber = protocolNumber
            self.isIPv6 = isIPv6
        }
    }

    private struct Exchange {
        let attempt: Attempt
        let opener: End
        var packets: UInt64 = 0
        var first: Int64
        var last: Int64
        var isAnswered = false
        /// What acknowledges the answer: the sequence number after its SYN.
        var next: UInt32?
        /// The opener has acknowledged the answer.
        var isCompleted = false
        var hasData = false
        var isRefused = false
        var ends = (opener: false, responder: false)
        var isReset = false

        var isOver: Bool { isReset || ends.opener && ends.responder }

        var outcome: AttemptOutcome {
            guard case .tcp = attempt.service else { return isAnswered ? .used : isRefused ? .refused : .unknown }
            if isAnswered { return isCompleted ? (hasData ? .used : .completed) : .halfOpen }
            return isRefused ? .refused : .silent
        }
    }

    /// Who sends in another's name does not see the answer, and hits its number by chance: bytes beyond it that the first
    /// acknowledgement in the capture may have taken in.
    private static let farthest: UInt32 = 1 << 20

    private let most: Int
    private var exchanges: [Name: Exchange] = [:]
    private var traffic: SeenTraffic

    /// `traffic`: to which all is added; `ended` gives it back.
    package init(addingTo traffic: SeenTraffic, most: Int = 1 << 17) {
        self.traffic = traffic
        self.most = most
    }

    /// Everything, when no packet is left.
    package mutating func ended() -> SeenTraffic {
        settle()
        return traffic
    }

    /// Takes in a packet.
    ///
    /// - Parameters:
    ///   - headers: of the packet.
    ///   - direction: as seen from the host that the policy is for.
    ///   - time: microseconds since 1970.
    package mutating func add(_ headers: PacketHeaders, _ direction: Direction, at time: Int64) {
        guard headers.isIP else { return }
        let isIPv6 = headers.network == .ipv6
        func attempt(_ service: Attempt.Service) -> Attempt {
            Attempt(direction, service, from: headers.source, to: headers.destination, isIPv6: isIPv6)
        }
        let sender = End(address: headers.source, port: headers.sourcePort)
        let receiver = End(address: headers.destination, port: headers.destinationPort)
        let name = Name(sender, receiver, headers.protocolNumber, isIPv6: isIPv6)
        switch headers.transport {
        case .tcp: addTCP(headers.tcp, name, sender, attempt(.tcp(headers.destinationPort)), receiver, at: time)
        case .udp:
            addUDP(name, sender, attempt(.udp(headers.destinationPort)), isLate: headers.isLateAnswer, at: time)
        case .icmp, .icmpv6:
            if headers.icmp.isError {
                note(unreachable: headers)
            } else {
                addICMP(headers, attempt(.icmp(type: headers.icmp.type, code: headers.icmp.code)), at: time)
            }
        case .other:
            traffic.add(attempt(.other(headers.protocolNumber)), packets: 1, first: time, last: time, .unknown)
        case .none: break
        }
    }

    private mutating func addTCP(
        _ tcp: TCPFields, _ name: Name, _ sender: End, _ attempt: Attempt, _ receiver: End, at time: Int64
    ) {
        let flags = tcp.flags
        let opens = flags.contains(.syn) && !flags.contains(.ack) && !flags.contains(.rst) && !flags.contains(.fin)
        let answers = flags.contains(.syn) && flags.contains(.ack)
        if opens, exchanges[name].map({ $0.isOver || $0.opener != sender }) ?? true {
            open(name, attempt, sender, at: time)
        } else if answers, exchanges[name] == nil {
            // The opening came before the capture began.
            open(name, attempt.reversed(server: sender.port), receiver, at: time)
        }
        guard var exchange = exchanges[name] else { return traffic.addWithoutOpening(packets: 1) }
        let isOpener = exchange.opener == sender
        exchange.last = max(exchange.last, time)
        if isOpener { exchange.packets += 1 }
        if answers, !isOpener { (exchange.isAnswered, exchange.next) = (true, tcp.sequence &+ 1) }
        if flags.contains(.rst) {
            exchange.isReset = true
            if !isOpener, !exchange.isAnswered { exchange.isRefused = true }
        } else if isOpener, flags.contains(.ack), !flags.contains(.syn), let next = exchange.next,
            tcp.acknowledgement &- next < Self.farthest
        {
            exchange.isCompleted = true
        }
        if tcp.dataLength > 0, exchange.isCompleted { exchange.hasData = true }
        if flags.contains(.fin) {
            if isOpener { exchange.ends.opener = true } else { exchange.ends.responder = true }
        }
        exchanges[name] = exchange
    }

    private mutating func addUDP(_ name: Name, _ sender: End, _ attempt: Attempt, isLate: Bool, at time: Int64) {
        if exchanges[name] == nil {
            if isLate { return traffic.addLateAnswer(packets: 1) }
            open(name, attempt, sender, at: time)
        }
        touch(name, isOpener: exchanges[name]?.opener == sender, at: time)
    }

    private mutating func addICMP(_ headers: PacketHeaders, _ attempt: Attempt, at time: Int64) {
        let isIPv6 = headers.network == .ipv6
        let sender = End(address: headers.source, port: headers.icmp.identifier)
        let receiver = End(address: headers.destination, port: headers.icmp.identifier)
        let name = Name(sender, receiver, headers.protocolNumber, isIPv6: isIPv6)
        if case .icmp(let type, _) = attempt.service, Attempt.reply(to: type, isIPv6: isIPv6) != nil {
            if exchanges[name] == nil { open(name, attempt, sender, at: time) }
            touch(name, isOpener: exchanges[name]?.opener == sender, at: time)
        } else if exchanges[name] != nil {
            touch(name, isOpener: exchanges[name]?.opener == sender, at: time)
        } else {
            traffic.add(attempt, packets: 1, first: time, last: time, .unknown)
        }
    }

    private mutating func touch(_ name: Name, isOpener: Bool, at time: Int64) {
        guard var exchange = exchanges[name] else { return }
        exchange.last = max(exchange.last, time)
        if isOpener { exchange.packets += 1 } else { exchange.isAnswered = true }
        exchanges[name] = exchange
    }

    /// "Port unreachable", and the other reports that nobody is there, about a datagram or an opening.
    private mutating func note(unreachable headers: PacketHeaders) {
        let isIPv6 = headers.network == .ipv6
        let type = isIPv6 ? ICMPv6Type.destinationUnreachable : ICMPType.destinationUnreachable
        let quoted = headers.quoted
        // What is too large for the path is sent again.
        let isTooLarge = !isIPv6 && headers.icmp.code == 4
        guard headers.icmp.type == type, !isTooLarge, quoted.network != .none else { return }
        let name = Name(
            End(address: quoted.source, port: quoted.sourcePort),
            End(address: quoted.destination, port: quoted.destinationPort), quoted.protocolNumber, isIPv6: isIPv6)
        if exchanges[name]?.isAnswered == false { exchanges[name]?.isRefused = true }
    }

    private mutating func open(_ name: Name, _ attempt: Attempt, _ opener: End, at time: Int64) {
        if let older = exchanges[name] { tell(older) }
        if exchanges.count >= most, exchanges[name] == nil { settle() }
        exchanges[name] = Exchange(attempt: attempt, opener: opener, first: time, last: time)
    }

    private mutating func settle() {
        for exchange in exchanges.values { tell(exchange) }
        exchanges.removeAll(keepingCapacity: true)
    }

    private mutating func tell(_ exchange: Exchange) {
        traffic.add(
            exchange.attempt, packets: max(1, exchange.packets), first: exchange.first, last: exchange.last,
            exchange.outcome)
    }
}

extension Attempt {
    /// Of the same exchange, seen from who answers.
    fileprivate func reversed(server: UInt16) -> Attempt {
        Attempt(direction.opposite, .tcp(server), from: destination, to: source, isIPv6: isIPv6, interface: interface)
    }
}

extension PacketHeaders {
    /// A datagram from a server's port to one from which Linux begins exchanges of its own (ip_local_port_range).
    fileprivate var isLateAnswer: Bool { SeenTraffic.isLateAnswer(from: sourcePort, to: destinationPort) }
}

extension SeenTraffic {
    /// Whether a datagram of no known exchange is likely the late answer of one, rather than the beginning of another: the firewall's
    /// own watch for scans spares the same.
    package static func isLateAnswer(from source: UInt16, to destination: UInt16) -> Bool {
        source < 1024 && 32_768...60_999 ~= destination
    }
}
