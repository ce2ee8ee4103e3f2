// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// The FTP control connections of one worker that are read: so many, in memory that is reserved when the policy first asks for
/// it. One more takes the place of the one not heard for the longest time among four, chosen by a keyed hash; that one is read on
/// from its next segment, and loses at most a line that it had begun.
public struct FTPControls: Sendable {
    private struct Place: BitwiseCopyable {
        var key: ConnectionKey
        var lastSeen: Instant
        var isUsed: Bool
        var control: FTPControl

        func isOf(_ other: ConnectionKey) -> Bool { isUsed && key.isSame(as: other) }
    }

    private static let ways = 4
    private static let sets = 128
    public static let capacity = ways * sets

    private var places: [Place] = []
    private let seed: (UInt64, UInt64)

    public init(seed: (UInt64, UInt64)) { self.seed = seed }

    /// Bytes, where it is used.
    public static var memory: Int { capacity * MemoryLayout<Place>.stride }

    /// Reserves the memory, or gives it back.
    public mutating func prepare(isUsed: Bool) {
        guard isUsed == places.isEmpty else { return }
        let vacant = Place(
            key: ConnectionKey(
                lowAddress: .zero, highAddress: .zero, lowPortOrIdentifier: 0, highPortOrIdentifier: 0,
                protocolNumber: 0, version: 0, queryType: 0),
            lastSeen: Instant(nanoseconds: .min), isUsed: false,
            control: FTPControl(at: TCPFields(), fromClient: true, isBeginning: false))
        places = isUsed ? [Place](repeating: vacant, count: Self.capacity) : []
    }

    /// What becomes of what was read.
    public enum Keeping: Sendable {
        /// Nothing is changed: the packet is only rehearsed.
        case nothing
        /// It is kept unless the segment is refused, and then repeated.
        case unlessRefused
        /// It is kept: the segment passes whatever it says.
        case always
    }

    /// Reads a segment with data of a control connection.
    ///
    /// - Parameters:
    ///   - packet: the packet.
    ///   - s: its segment; with ACK.
    ///   - key: the connection.
    ///   - side: who sent it.
    ///   - client: the side that is the client.
    ///   - isBeginning: the client has said nothing before this segment.
    ///   - now: when.
    ///   - keeping: what becomes of it.
    /// - Returns: what it says of data connections.
    public mutating func read(
        _ packet: RawSpan, _ s: TCPFields, of key: ConnectionKey, from side: Side, client: Side, isBeginning: Bool,
        at now: Instant, keeping: Keeping
    ) -> FTPReading {
        guard !places.isEmpty else { return FTPReading() }
        let i = place(of: key)
        var control = places[i].control
        if !places[i].isOf(key) { control = FTPControl(at: s, fromClient: side == client, isBeginning: isBeginning) }
        var reading = control.read(packet, s, fromClient: side == client, client: key.address(of: client))
        if reading.activePort != 0 { swap(&control.activePort, &reading.formerActivePort, with: reading.activePort) }
        if reading.passivePort != 0 {
            swap(&control.passivePort, &reading.formerPassivePort, with: reading.passivePort)
        }
        if keeping == .always || keeping == .unlessRefused && !reading.isRefused {
            places[i] = Place(key: key, lastSeen: now, isUsed: true, control: control)
        }
        return reading
    }

    /// Reads no further what was read of a connection between these endpoints: another one has begun.
    public mutating func forget(_ key: ConnectionKey) {
        guard !places.isEmpty else { return }
        let i = place(of: key)
        if places[i].isOf(key) { places[i].isUsed = false }
    }

    private func swap(_ known: inout UInt16, _ former: inout UInt16, with port: UInt16) {
        former = known
        known = port
    }

    /// The place of a connection: its own, or the one that it is to take.
    private func place(of key: ConnectionKey) -> Int {
        let first = Int(key.hash(seed: seed)) % Self.sets * Self.ways
        var oldest = first
        for i in first..<first + Self.ways {
            if places[i].isOf(key) { return i }
            if places[i].lastSeen < places[oldest].lastSeen { oldest = i }
        }
        return oldest
    }
}
