// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import ConnectionTracking
import PacketWire
import PolicyAnalysis
import PolicyFile

/// A packet in words. Every witness that `check` and `diff` print is written with these.
struct PacketOptions: ParsableArguments {
    @Option(help: "incoming or outgoing.", completion: Completions.directions)
    var direction: String?

    @Option(help: ArgumentHelp("The interface that it is on.", valueName: "name"))
    var interface: String?

    @Option(
        help: ArgumentHelp(
            "It is forwarded: the interface that it goes to, or if it is outgoing the one that it comes from.",
            valueName: "name"))
    var otherInterface: String?

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("A TCP segment: from where and to where.", valueName: "address:port"))
    var tcp: [String] = []

    @Option(parsing: .upToNextOption, help: ArgumentHelp("A UDP datagram.", valueName: "address:port"))
    var udp: [String] = []

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "An ICMP or ICMPv6 message; an echo request unless --type says otherwise.", valueName: "address"))
    var icmp: [String] = []

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp("A packet of another protocol, which --protocol names.", valueName: "address"))
    var ip: [String] = []

    @Option(help: ArgumentHelp("A frame that is no IP packet, by its EtherType.", valueName: "number"))
    var frame: String?

    @Option(
        help: ArgumentHelp(
            "TCP: names between commas, such as syn,ack; none. A SYN unless said otherwise.", valueName: "flags"))
    var flags: String?

    @Option(help: ArgumentHelp("ICMP: the type.", valueName: "number"))
    var type: UInt8?

    @Option(help: ArgumentHelp("ICMP: the code.", valueName: "number"))
    var code: UInt8?

    @Option(help: ArgumentHelp("ICMP: the identifier of a query and its reply.", valueName: "number"))
    var identifier: UInt16?

    @Flag(
        help:
            "ICMP: an error about a datagram that its receiver has sent, of a connection that is taken for known.")
    var quotesKnown = false

    @Option(name: .customLong("protocol"), help: "With --ip: a name or a number.", completion: Completions.protocols)
    var protocolName: String?

    @Option(help: ArgumentHelp("TCP: the sequence number.", valueName: "number"))
    var sequence: UInt32?

    @Option(help: ArgumentHelp("TCP: the acknowledgement number.", valueName: "number"))
    var acknowledgement: UInt32?

    @Option(help: ArgumentHelp("Bytes after the headers.", valueName: "count"))
    var payload: UInt16?

    @Option(help: ArgumentHelp("The source MAC address.", valueName: "address"))
    var sourceMac: String?

    @Option(help: ArgumentHelp("The destination MAC address.", valueName: "address"))
    var destinationMac: String?

    @Option(
        help: ArgumentHelp("Outgoing: the user who has sent it; without it, no process has.", valueName: "name"))
    var senderUser: String?

    @Option(
        help: ArgumentHelp(
            "Outgoing: the sender's group; with --sender-user, and its own without it.", valueName: "name"))
    var senderGroup: String?

    @Option(help: ArgumentHelp("Outgoing: a unit that the sender is of; may be repeated.", valueName: "unit"))
    var senderUnit: [String] = []

    @Option(
        help: ArgumentHelp(
            "When it comes, for schedules: a date and time, or @ and seconds since 1970.", valueName: "time"))
    var at: String?

    /// Whether any packet is said.
    var isGiven: Bool { !(tcp + udp + icmp + ip).isEmpty || frame != nil }

    func words() throws -> PacketWords {
        let given = [tcp, udp, icmp, ip].filter { !$0.isEmpty }
        guard given.count + (frame == nil ? 0 : 1) == 1 else {
            throw ValidationError("one packet at a time: --tcp, --udp, --icmp, --ip or --frame")
        }
        guard let direction = direction.flatMap(Direction.init(word:)) else {
            throw ValidationError("--direction is incoming or outgoing")
        }
        if otherInterface != nil && interface == nil {
            throw ValidationError("--other-interface goes with --interface")
        }
        if quotesKnown && icmp.isEmpty { throw ValidationError("--quotes-known is for --icmp") }
        var words = PacketWords(direction, .frame(0))
        if let frame {
            let digits = frame.hasPrefix("0x") ? UInt16(frame.dropFirst(2), radix: 16) : UInt16(frame)
            guard let digits else { throw ValidationError("'\(frame)' is no EtherType such as 0x0806") }
            words.transport = .frame(digits)
        } else {
            try setEndpoints(given[0], in: &words)
        }
        words.interface = interface
        words.otherInterface = otherInterface
        words.sequence = sequence ?? 0
        words.acknowledgement = acknowledgement ?? 0
        words.identifier = identifier ?? words.identifier
        words.payload = Int(payload ?? 0)
        words.quotesKnownExchange = quotesKnown
        words.sourceMAC = try sourceMac.map(mac)
        words.destinationMAC = try destinationMac.map(mac)
        words.sender = try sender(of: words)
        words.unixTime = try moment
        return words
    }

    /// When it comes, in seconds since 1970; nil: that is not said.
    var moment: Int64? {
        get throws { try at.map(time) }
    }

    private func setEndpoints(_ texts: [String], in words: inout PacketWords) throws {
        guard texts.count == 2 else {
            throw ValidationError("a packet goes from one address to another: two are needed")
        }
        let hasPorts = !tcp.isEmpty || !udp.isEmpty
        let ends = try texts.map { text in
            guard let end = EndpointText(text, hasPort: hasPorts) else {
                throw ValidationError(
                    "'\(text)' is no \(hasPorts ? "address:port, such as 192.0.2.1:80 or [2001:db8::1]:80" : "address")"
                )
            }
            return end
        }
        guard ends[0].isIPv6 == ends[1].isIPv6 else { throw ValidationError("both addresses are IPv4, or both IPv6") }
        (words.source, words.destination, words.isIPv6) = (ends[0].address, ends[1].address, ends[0].isIPv6)
        if !tcp.isEmpty {
            guard let flags = TCPFlags(words: flags ?? "syn") else {
                throw ValidationError(
                    "'\(flags ?? "")' are no flags: fin, syn, rst, psh, ack, urg, ece, cwr between commas, or none")
            }
            words.transport = .tcp(source: ends[0].port, destination: ends[1].port, flags)
        } else if !udp.isEmpty {
            words.transport = .udp(source: ends[0].port, destination: ends[1].port)
        } else if !icmp.isEmpty {
            words.transport = .icmp(type: type ?? (words.isIPv6 ? 128 : 8), code: code ?? 0)
        } else {
            guard let number = protocolName.flatMap(ProtocolText.number(of:)) else {
                throw ValidationError("--ip needs --protocol, a name or a number from 0 to 255")
            }
            guard ![1, 6, 17].contains(number) || (number == 1 && words.isIPv6), number != 58 || !words.isIPv6 else {
                throw ValidationError("--tcp, --udp and --icmp say packets of these protocols")
            }
            words.transport = .other(number)
        }
    }

    private func sender(of words: PacketWords) throws -> NamedSender? {
        guard let senderUser else {
            guard senderGroup == nil, senderUnit.isEmpty else {
                throw ValidationError("--sender-group and --sender-unit go with --sender-user")
            }
            return nil
        }
        guard words.direction == .outgoing, otherInterface == nil else {
            throw ValidationError(
                "only what this host sends has a sender: --direction outgoing, and no --other-interface")
        }
        let accounts = HostAccounts.host
        guard let user = accounts.user(senderUser) else {
            throw ValidationError("'\(senderUser)' is no user of this host, and no number: see /etc/passwd")
        }
        let group = senderGroup.map { accounts.group($0) } ?? accounts.group(ofUser: user) ?? user
        guard let group else {
            throw ValidationError("'\(senderGroup ?? "")' is no group of this host, and no number: see /etc/group")
        }
        return NamedSender(user: user, group: group, units: Set(senderUnit))
    }

    private func mac(_ text: String) throws -> MACAddress {
        let parts = text.split(separator: ":").map { UInt64($0, radix: 16) }
        guard parts.count == 6, parts.allSatisfy({ ($0 ?? 256) < 256 }) else {
            throw ValidationError("'\(text)' is no MAC address such as 52:54:00:aa:00:01")
        }
        return MACAddress(bits: parts.reduce(0) { $0 << 8 | ($1 ?? 0) })
    }

    private func time(_ text: String) throws -> Int64 {
        if text.hasPrefix("@"), let seconds = Int64(text.dropFirst()) { return seconds }
        guard let time = WallTime(parsing: text) else {
            throw ValidationError("'\(text)' is no time such as 2026-11-30T08:00:00 or @1796025600")
        }
        return time.microseconds / 1_000_000
    }
}

/// An address, with a port behind it or without.
private struct EndpointText {
    let address: IPAddress
    let port: UInt16
    let isIPv6: Bool

    init?(_ text: String, hasPort: Bool) {
        var (name, port) = (Substring(text), UInt16(0))
        if hasPort {
            guard let colon = text.lastIndex(of: ":"), let number = UInt16(text[text.index(after: colon)...]) else {
                return nil
            }
            (name, port) = (text[..<colon], number)
            if name.hasPrefix("["), name.hasSuffix("]") {
                name = name.dropFirst().dropLast()
            } else if name.contains(":") {
                return nil
            }
        }
        guard let address = IPAddress(parsing: name) else { return nil }
        self.address = address
        self.port = port
        isIPv6 = name.contains(":")
    }
}
