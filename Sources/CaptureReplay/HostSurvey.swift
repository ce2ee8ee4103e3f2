// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// A first reading of captures that finds out which of the machines in it is the one that is to be protected.
///
/// What tells most comes first: what the capturing kernel noted of each packet; a MAC address, or an IP address, that takes
/// part in everything while the others come and go; and at last who is connected to. The answer is a guess and says how sure
/// it is.
package struct HostSurvey {
    /// What was seen of an address.
    private struct Standing {
        var packets = 0
        /// The kernel noted that the capturing host sent it, or that it came for that host.
        var isNoted = false
        /// Connections that it accepted, or was asked for, less those that it opened.
        var answers = 0
    }

    private struct Station {
        var frames = 0
        /// Source addresses of its frames, as many as matter.
        var addresses: Set<IPAddress> = []
    }

    private static let mostAddresses = 1 << 20
    private static let mostStations = 1 << 12
    /// A machine has not more addresses of its own than this; a gateway sends from more.
    private static let mostOwn = 8

    private var addresses: [IPAddress: Standing] = [:]
    private var stations: [MACAddress: Station] = [:]
    private var pairs: [AddressPair: Int] = [:]
    private var packets = 0
    private var frames = 0

    package init() {}

    /// Reads a file to its end, or to where it cannot be read; the replay says why.
    package mutating func add(_ path: String, progress: (CaptureProgress) -> Void = { _ in }) {
        do {
            var file = try CaptureFile(path: path)
            while try file.next({ bytes, frame in
                if let link = frame.link { add(bytes, frame.fullLength, link) }
            }) {
                if let now = file.progressNow { progress(now) }
            }
        } catch {}
    }

    private mutating func add(_ bytes: RawSpan, _ fullLength: UInt32, _ link: LinkType) {
        guard let header = LinkHeader(link, bytes), !header.isLoopback else { return }
        var headers = PacketHeaders()
        let packet = bytes.extracting(header.length..<bytes.byteCount)
        let traits = PacketTraits(fullLength: fullLength - UInt32(header.length), isCapture: true)
        if link == .ethernet {
            try? headers.decodeFrame(packet, traits)
        } else {
            try? headers.decodePacket(packet, etherType: header.etherType, traits)
        }
        // Whoever is a group, and whoever has no address yet, is nobody.
        guard headers.isIP, !headers.destination.isGroup(headers.network), headers.source != IPAddress(v4: 0),
            headers.source != headers.destination
        else { return }
        packets += 1
        note(&headers, header.course)
        if link == .ethernet { noteStations(&headers) }
    }

    private mutating func note(_ headers: inout PacketHeaders, _ course: LinkHeader.Course) {
        guard addresses.count < Self.mostAddresses else { return }
        let answers = Self.answers(&headers)
        addresses[headers.source, default: Standing()].packets += 1
        addresses[headers.source]?.answers += answers
        addresses[headers.destination, default: Standing()].packets += 1
        addresses[headers.destination]?.answers -= answers
        if course == .sent { addresses[headers.source]?.isNoted = true }
        if course == .received { addresses[headers.destination]?.isNoted = true }
        pairs[AddressPair(headers.source, headers.destination), default: 0] +=
            headers.source < headers.destination ? answers : -answers
    }

    /// How much this packet says that its source is the side that others connect to; below zero: its destination.
    private static func answers(_ headers: inout PacketHeaders) -> Int {
        if headers.transport == .tcp {
            let flags = headers.tcp.flags
            // A handshake counts for more than all that ports tell.
            if flags.contains(.syn) { return flags.contains(.ack) ? 1000 : -1000 }
        }
        guard headers.transport == .tcp || headers.transport == .udp else { return 0 }
        let (mine, its) = (headers.sourcePort, headers.destinationPort)
        guard (mine < 1024) != (its < 1024) else { return 0 }
        return mine < 1024 ? 1 : -1
    }

    private mutating func noteStations(_ headers: inout PacketHeaders) {
        let (source, destination) = (headers.sourceMAC, headers.destinationMAC)
        guard source != destination, stations.count < Self.mostStations else { return }
        frames += 1
        stations[source, default: Station()].frames += 1
        stations[destination, default: Station()].frames += 1
        if stations[source]?.addresses.count ?? 0 <= Self.mostOwn { stations[source]?.addresses.insert(headers.source) }
    }
}

extension HostSurvey {
    /// Who this host is.
    package var guess: HostGuess {
        guard packets > 0 else { return HostGuess() }
        var guess = noted ?? station ?? everywhere ?? HostGuess()
        if guess.addresses.isEmpty { guess.sides = pairs.answeringSides }
        if guess.addresses.isEmpty { decideByAnswers(&guess) }
        return guess
    }

    private var noted: HostGuess? {
        let own = addresses.filter(\.value.isNoted).keys
        guard !own.isEmpty else { return nil }
        return HostGuess(Set(own), .sure, "the capture notes which packets were its own")
    }

    /// The machine whose MAC address is in all frames. Where that is true of two, the other is the gateway, which sends from
    /// more addresses.
    private var station: HostGuess? {
        let present = stations.filter { $0.value.frames * 100 >= frames * 99 }
        let own = present.filter { 1...Self.mostOwn ~= $0.value.addresses.count }
        guard frames > 0, let best = own.min(by: { $0.value.addresses.count < $1.value.addresses.count }) else {
            return nil
        }
        let others = own.filter { $0.key != best.key }
        guard others.allSatisfy({ $0.value.addresses.count > best.value.addresses.count + 1 }) else { return nil }
        return HostGuess(
            best.value.addresses, present.count == 1 || others.isEmpty ? .sure : .likely,
            "its MAC address \(best.key) is in all frames"
                + (present.count > 1 ? ", and the other one there sends from more addresses" : ""))
    }

    /// The one address, of each family, that takes part in everything.
    private var everywhere: HostGuess? {
        var own: Set<IPAddress> = []
        for isV4 in [true, false] {
            let family = addresses.filter { $0.key.isMappedV4 == isV4 }
            let total = family.values.reduce(0) { $0 + $1.packets } / 2
            let present = family.filter { $0.value.packets * 100 >= total * 99 }
            if total > 0, present.count != 1 { return nil }
            own.formUnion(present.keys)
        }
        return HostGuess(own, .likely, "it takes part in every conversation")
    }

    /// Two machines, or many: who is connected to is the one to be protected.
    private func decideByAnswers(_ guess: inout HostGuess) {
        let isOnePair = pairs.count == 1
        let sides = guess.sides.values
        guess.sureness = .uncertain
        guard let side = sides.first else {
            guess.why = "nothing tells who is connected to: in each conversation it is who speaks first"
            return
        }
        guess.why =
            isOnePair || Set(sides).count == 1
            ? "it is the side that the other connects to"
            : "no machine takes part in everything: in each conversation it is the side that is connected to"
        if Set(sides).count == 1, pairs.keys.allSatisfy({ $0.has(side) }) { guess.addresses = [side] }
    }
}

extension [AddressPair: Int] {
    /// Of each pair the side that is connected to, as far as that is known.
    fileprivate var answeringSides: [AddressPair: IPAddress] {
        var sides: [AddressPair: IPAddress] = [:]
        for (pair, answers) in self where answers != 0 { sides[pair] = answers > 0 ? pair.a : pair.b }
        return sides
    }
}
