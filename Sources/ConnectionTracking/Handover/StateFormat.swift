// SPDX-License-Identifier: GPL-3.0-or-later

public import PacketWire

/// The connections of all workers as one sequence of bytes: a header, records of one length, and a trailer with their count
/// and a checksum of everything before it.
///
/// The checksum (SipHash without a secret) finds what was torn or damaged. It proves no origin: that is for the owner and
/// the mode of the file.
public enum StateFormat {
    /// Changes with every change of the header or of a record.
    public static let version: UInt32 = 3
    public static let headerBytes = 48
    public static let trailerBytes = 16
    /// The worker of a connection that no worker has claimed.
    public static let noWorker = UInt16.max
    /// "PRTRVSTA"
    static let magic: UInt64 = 0x5052_5452_5653_5441
    static let seed: (UInt64, UInt64) = (magic, UInt64(version))
    /// After that long the connections have changed too much.
    public static let lifetime = Instant.Span.minutes(5)
}

/// What stands before the records.
public struct StateHeader: Hashable, Sendable {
    public var form: ConnectionRecord.Form
    /// How many workers there were; with as many, the kernel gives each its connections again.
    public var workers: UInt16
    /// The kernel's boot, by its 128-bit id.
    public var boot: (high: UInt64, low: UInt64) { (bootHigh, bootLow) }
    private var bootHigh: UInt64
    private var bootLow: UInt64
    /// When it was written, on a clock that goes on during suspension.
    public var writtenAt: Instant

    public init(form: ConnectionRecord.Form, workers: UInt16, boot: (high: UInt64, low: UInt64), writtenAt: Instant) {
        self.form = form
        self.workers = workers
        (bootHigh, bootLow) = boot
        self.writtenAt = writtenAt
    }

    var bytes: [UInt8] {
        var record = RecordWriter(bytes: [])
        record.put(StateFormat.magic)
        record.put(StateFormat.version)
        record.put(form.rawValue)
        record.put(UInt8(0))
        record.put(workers)
        record.put(bootHigh)
        record.put(bootLow)
        record.put(writtenAt)
        record.pad(to: StateFormat.headerBytes)
        return record.bytes
    }
}

/// Why a state is not used.
public enum StateRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    case notAState
    case otherVersion(UInt32)
    case otherBoot
    case old(seconds: Int64)
    case torn
    case damaged
    case invalidRecord(UInt64)

    public var description: String {
        switch self {
        case .notAState: "it does not begin as a state does"
        case .otherVersion(let version): "it has format \(version), and this agent reads \(StateFormat.version)"
        case .otherBoot: "it is from before the last boot"
        case .old(let seconds) where seconds < 0: "it is dated in the future"
        case .old(let seconds): "it is \(seconds) seconds old"
        case .torn: "its end is missing"
        case .damaged: "its checksum is wrong"
        case .invalidRecord(let number): "its record \(number) describes no connection"
        }
    }
}

/// Makes the bytes, a part at a time.
public struct StateEncoder {
    private let header: StateHeader
    private var hash = SipHash(seed: StateFormat.seed)
    private var count: UInt64 = 0
    private var bytes: [UInt8]

    public init(_ header: StateHeader) {
        self.header = header
        bytes = header.bytes
    }

    public mutating func append(_ connection: Connection, worker: UInt16) {
        if header.form == .outline && !connection.isWorthRemembering { return }
        ConnectionRecord.append(connection, worker: worker, header.form, to: &bytes)
        count += 1
    }

    /// Bytes that are ready.
    public var ready: Int { bytes.count }

    /// Gives what is ready.
    public mutating func take() -> [UInt8] {
        absorb()
        defer { bytes.removeAll(keepingCapacity: true) }
        return bytes
    }

    /// The last part.
    public mutating func finish() -> [UInt8] {
        var record = RecordWriter(bytes: take())
        record.put(count)
        hash.absorb(count)
        record.put(hash.finish())
        return record.bytes
    }

    private mutating func absorb() {
        var position = 0
        while position < bytes.count {
            var word: UInt64 = 0
            for byte in bytes[position..<position + 8] { word = word << 8 | UInt64(byte) }
            hash.absorb(word)
            position += 8
        }
    }
}
