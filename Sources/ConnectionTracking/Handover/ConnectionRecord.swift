// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// A connection as bytes, by which one run of the agent hands it to the next.
///
/// What the rules decided is not in it: the next run judges the opening by its own policy, as after a reload. Of a refusal
/// the reason goes along, and not the rule, whose number means nothing there.
public enum ConnectionRecord {
    /// How much of a connection is told.
    public enum Form: UInt8, Sendable, CaseIterable {
        /// Everything: right as long as no packet passed unseen since.
        case exact = 1
        /// Who opened what to whom, and that it was admitted. Windows are learnt anew.
        case outline = 2
    }

    /// Multiples of eight.
    public static func bytes(of form: Form) -> Int { form == .exact ? 216 : 72 }

    /// Appends one record; `worker` is the place of the worker that has the connection.
    public static func append(_ c: Connection, worker: UInt16, _ form: Form, to bytes: inout [UInt8]) {
        let end = bytes.count + Self.bytes(of: form)
        var record = RecordWriter(bytes: bytes)
        bytes = []
        record.put(worker)
        put(c.key, into: &record)
        record.put(c.opener.rawValue)
        record.put(c.openingDirection.rawValue)
        record.put(c.openingInterface)
        record.put(UInt16(truncatingIfNeeded: c.openingMAC.bits >> 32))
        record.put(UInt32(truncatingIfNeeded: c.openingMAC.bits))
        record.put(UInt32(truncatingIfNeeded: c.openedAt.nanoseconds / 1_000_000_000))
        record.put(c.lastSeen)
        record.put(c.refusal.reason)
        record.put(c.udp.isStream ? 2 : c.udp.hasAnswer ? 1 : UInt8(0))
        record.put(c.icmp.requesters)
        if form == .exact {
            c.tcp.put(into: &record)
            for traffic in [c.trafficOfLow, c.trafficOfHigh] {
                record.put(traffic.packets)
                record.put(traffic.bytes)
            }
        }
        record.put(UInt8((c.isAnnounced ? 1 : 0) | (c.isEndTold ? 2 : 0)))
        record.pad(to: end)
        bytes = record.bytes
    }

    /// Reads the record at an offset.
    ///
    /// - Parameters:
    ///   - bytes: a whole record at `offset`; hostile.
    ///   - offset: where it begins.
    ///   - form: what it holds.
    ///   - now: the present, on the clock of the connection's instants.
    /// - Returns: the connection, and the place of its worker; nil if the bytes are none that `append` could have written
    ///   before `now`.
    public static func decode(
        _ bytes: RawSpan, at offset: Int, _ form: Form, now: Instant
    ) -> (worker: UInt16, connection: Connection)? {
        guard bytes.byteCount - offset >= Self.bytes(of: form) else { return nil }
        var record = RecordReader(at: offset)
        let worker = record.number16(bytes)
        let key = readKey(&record, bytes)
        let opener: Side = record.choice(bytes, else: .low)
        let direction: Direction = record.choice(bytes, else: .incoming)
        let interface = record.number32(bytes)
        let mac = UInt64(record.number16(bytes)) << 32 | UInt64(record.number32(bytes))
        let opened = Instant(nanoseconds: Int64(record.number32(bytes)) * 1_000_000_000)
        var c = Connection(
            key: key, opener: opener, openingDirection: direction, at: opened, openingInterface: interface,
            openingMAC: MACAddress(bits: mac))
        c.lastSeen = record.instant(bytes)
        record.require(opened <= now && c.lastSeen <= now && c.lastSeen.nanoseconds >= 0)
        c.refusal.reason = record.byte(bytes)
        let udp = record.byte(bytes)
        record.require(udp <= 2)
        (c.udp.hasAnswer, c.udp.isStream) = (udp > 0, udp > 1)
        c.icmp.requesters = record.byte(bytes)
        record.require(c.icmp.requesters <= 3)
        if form == .exact {
            c.tcp = TCPState(&record, bytes)
            c.trafficOfLow = readTraffic(&record, bytes)
            c.trafficOfHigh = readTraffic(&record, bytes)
        } else {
            c.tcp = TCPTracker.remember(opener: opener, at: now)
        }
        let traits = record.byte(bytes)
        record.require(traits <= 3)
        (c.isAnnounced, c.isEndTold) = (traits & 1 != 0, traits & 2 != 0)
        if key.protocolNumber == IPProtocol.tcp {
            record.require(c.tcp.isConsistent)
        } else {
            c.tcp = TCPState()
        }
        return record.isSound ? (worker, c) : nil
    }
}

extension ConnectionRecord {
    private static func put(_ key: ConnectionKey, into record: inout RecordWriter) {
        record.put(key.lowAddress)
        record.put(key.highAddress)
        record.put(key.lowPortOrIdentifier)
        record.put(key.highPortOrIdentifier)
        record.put(key.protocolNumber)
        record.put(key.version)
        record.put(key.queryType)
    }

    private static func readKey(_ record: inout RecordReader, _ bytes: RawSpan) -> ConnectionKey {
        let low = record.address(bytes)
        let high = record.address(bytes)
        let lowPort = record.number16(bytes)
        let highPort = record.number16(bytes)
        let number = record.byte(bytes)
        let version = record.byte(bytes)
        let query = record.byte(bytes)
        let key = ConnectionKey(
            lowAddress: low, highAddress: high, lowPortOrIdentifier: lowPort, highPortOrIdentifier: highPort,
            protocolNumber: number, version: version, queryType: query)
        record.require(key.isCanonical)
        return key
    }

    private static func readTraffic(_ record: inout RecordReader, _ bytes: RawSpan) -> Traffic {
        var traffic = Traffic()
        traffic.packets = record.number64(bytes)
        traffic.bytes = record.number64(bytes)
        return traffic
    }
}

extension ConnectionKey {
    /// Whether a packet can have this key: `make` would give it.
    fileprivate var isCanonical: Bool {
        let isOrdered =
            lowAddress == highAddress
            ? lowPortOrIdentifier <= highPortOrIdentifier : lowAddress < highAddress
        let hasAddresses = version == 6 || (version == 4 && lowAddress.isMappedV4 && highAddress.isMappedV4)
        guard isOrdered, hasAddresses else { return false }
        switch protocolNumber {
        case IPProtocol.tcp, IPProtocol.udp: return queryType == 0
        case IPProtocol.icmp:
            return version == 4 && lowPortOrIdentifier == highPortOrIdentifier
                && ICMPQuery(type: queryType).map { !$0.isReply } ?? false
        default: return false
        }
    }
}

extension Connection {
    /// Whether the connection is told in outline: one that is opening or over says nothing to a run that does not know how
    /// far it was.
    public var isWorthRemembering: Bool {
        guard key.protocolNumber == IPProtocol.tcp else { return true }
        return !tcp.isHalfOpen && !tcp.phase.isOver && !tcp.isUnanswered
    }

    /// Makes an exact record what an outline would have been: packets passed unseen since.
    public mutating func forgetWindows(at now: Instant) {
        if key.protocolNumber == IPProtocol.tcp { tcp = TCPTracker.remember(opener: opener, at: now) }
    }
}
