// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
package import ConnectionTracking
package import PacketWire

/// A packet in words, as `portreeve explain` takes it and as every witness is printed: what is not said has the value that most packets
/// have.
package struct PacketWords: Hashable, Sendable {
    package enum Transport: Hashable, Sendable {
        case tcp(source: UInt16, destination: UInt16, TCPFlags)
        case udp(source: UInt16, destination: UInt16)
        case icmp(type: UInt8, code: UInt8)
        /// Another protocol, by its number.
        case other(UInt8)
        /// No IP: a frame of this EtherType.
        case frame(UInt16)
    }

    package var direction: Direction
    /// nil: none is named.
    package var interface: String?
    /// It is forwarded, and this is the interface that it comes from or goes to; nil: it comes to this host or is sent by it.
    package var otherInterface: String?
    package var source = IPAddress.zero
    package var destination = IPAddress.zero
    package var isIPv6 = false
    package var transport: Transport
    package var sequence: UInt32 = 0
    package var acknowledgement: UInt32 = 0
    /// ICMP: of a query and its reply.
    package var identifier: UInt16 = 1
    /// ICMP: it is an error about a datagram that its receiver has sent, and the connection of that is known.
    package var quotesKnownExchange = false
    /// Bytes after the transport header.
    package var payload = 0
    package var sourceMAC: MACAddress?
    package var destinationMAC: MACAddress?
    /// Who of this host has sent it; nil: no process.
    package var sender: NamedSender?
    /// When it comes; nil: now.
    package var unixTime: Int64?

    package init(_ direction: Direction, _ transport: Transport) {
        self.direction = direction
        self.transport = transport
    }

    /// A packet that proves something about rules.
    package init(_ witness: Witness) {
        let kind = witness.kind
        let transport: Transport =
            if kind.isTCP {
                .tcp(source: witness.sourcePort, destination: witness.destinationPort, witness.flags)
            } else if kind.isUDP {
                .udp(source: witness.sourcePort, destination: witness.destinationPort)
            } else if kind.isICMP {
                .icmp(type: witness.icmpType, code: witness.icmpCode)
            } else {
                kind.isIP ? .other(witness.protocolNumber) : .frame(witness.etherType)
            }
        self.init(witness.direction, transport)
        interface = witness.interface
        otherInterface = witness.otherInterface
        quotesKnownExchange = witness.isOfKnownExchange
        isIPv6 = kind.isIPv6
        if kind.isIP {
            source = witness.source
            destination = witness.destination
        }
        sourceMAC = witness.sourceMAC
        destinationMAC = witness.destinationMAC
        sender = witness.sender
        unixTime = witness.moment.unixTime == 0 ? nil : witness.moment.unixTime
    }
}

extension PacketWords {
    /// The options of `portreeve explain` that say it, ready for a shell.
    package var options: String {
        var words = ["--direction \(direction.word)"]
        if let interface { words.append("--interface \(interface.quotedForShell)") }
        if let otherInterface { words.append("--other-interface \(otherInterface.quotedForShell)") }
        let (from, to) = (source.description(isIPv6: isIPv6), destination.description(isIPv6: isIPv6))
        func at(_ address: String, _ port: UInt16) -> String {
            isIPv6 ? "'[\(address)]:\(port)'" : "\(address):\(port)"
        }
        switch transport {
        case .tcp(let source, let destination, let flags):
            words.append("--tcp \(at(from, source)) \(at(to, destination))")
            words.append("--flags \(flags.words)")
        case .udp(let source, let destination): words.append("--udp \(at(from, source)) \(at(to, destination))")
        case .icmp(let type, let code): words.append("--icmp \(from) \(to) --type \(type) --code \(code)")
        case .other(let number): words.append("--ip \(from) \(to) --protocol \(number)")
        case .frame(let number): words.append("--frame 0x\(String(number, radix: 16))")
        }
        if sequence != 0 { words.append("--sequence \(sequence)") }
        if acknowledgement != 0 { words.append("--acknowledgement \(acknowledgement)") }
        if identifier != 1 { words.append("--identifier \(identifier)") }
        if quotesKnownExchange { words.append("--quotes-known") }
        if payload != 0 { words.append("--payload \(payload)") }
        if let sourceMAC { words.append("--source-mac \(sourceMAC)") }
        if let destinationMAC { words.append("--destination-mac \(destinationMAC)") }
        if let sender { words.append(sender.options) }
        if let unixTime { words.append("--at @\(unixTime)") }
        return words.joined(separator: " ")
    }

    /// In one line, for people: "incoming tcp 198.51.100.7:40000 > 192.0.2.10:22 [syn] on eth0".
    package var sentence: String {
        let (from, to) = (source.description(isIPv6: isIPv6), destination.description(isIPv6: isIPv6))
        func at(_ address: String, _ port: UInt16) -> String { isIPv6 ? "[\(address)]:\(port)" : "\(address):\(port)" }
        let what =
            switch transport {
            case .tcp(let source, let destination, let flags):
                "tcp \(at(from, source)) > \(at(to, destination)) [\(flags.words)]"
            case .udp(let source, let destination): "udp \(at(from, source)) > \(at(to, destination))"
            case .icmp(let type, let code): "\(isIPv6 ? "icmpv6" : "icmp") type \(type) code \(code) \(from) > \(to)"
            case .other(let number): "protocol \(number) \(from) > \(to)"
            case .frame(let number): "frame of type 0x\(String(number, radix: 16))"
            }
        let quoted = quotesKnownExchange ? " about a datagram of a known connection" : ""
        return "\(direction.word) \(what)\(quoted)" + (interface.map { " on \($0)" } ?? "")
            + (sender.map { " sent by \($0.text)" } ?? "")
            + (otherInterface.map { " \(direction == .incoming ? "to" : "from") \($0)" } ?? "")
    }
}

extension TCPFlags {
    private static let names: [(name: String, flag: TCPFlags)] = [
        ("fin", .fin), ("syn", .syn), ("rst", .rst), ("psh", .psh), ("ack", .ack), ("urg", .urg), ("ece", .ece),
        ("cwr", .cwr),
    ]

    /// "syn,ack"; "none".
    package var words: String {
        let names = Self.names.filter { contains($0.flag) }.map(\.name)
        return names.isEmpty ? "none" : names.joined(separator: ",")
    }

    /// Names between commas, or the letters of tcpdump and of event records: "syn,ack", "SA", "none".
    package init?(words: String) {
        self.init(rawValue: 0)
        if words == "none" || words.isEmpty { return }
        let letters: [Character: TCPFlags] = [
            "F": .fin, "S": .syn, "R": .rst, "P": .psh, "A": .ack, "U": .urg, "E": .ece, "C": .cwr,
        ]
        if words.allSatisfy({ letters[$0] != nil }) {
            for letter in words { self = self | (letters[letter] ?? []) }
            return
        }
        for word in words.split(separator: ",") {
            guard let flag = Self.names.first(where: { $0.name == word })?.flag else { return nil }
            self = self | flag
        }
    }
}

extension String {
    /// As a word that a shell does not change.
    package var quotedForShell: String {
        let isPlain =
            !isEmpty
            && utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
                    || [0x2d, 0x2e, 0x5f, 0x2f, 0x3a, 0x2c, 0x40].contains(byte)
            }
        return isPlain
            ? self : "'" + split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}
