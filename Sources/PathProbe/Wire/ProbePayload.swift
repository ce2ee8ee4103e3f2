// SPDX-License-Identifier: GPL-3.0-or-later

/// The bytes that a probe carries, and the different ones that answer it. A request is never a valid answer, so that an
/// echo proves nothing; who does not have the session's key can make neither.
///
///     0  magic    4  version    5  direction    6  port probed    8  session    16  probe    24  length    28  attempt
///     32  HMAC-SHA-256 over all other bytes, cut to 16    48  filling
///
/// Integers are in network byte order.
package struct ProbePayload: Hashable, Sendable {
    package enum Direction: UInt8, Sendable { case request = 1, reply = 2 }

    package static let minimumBytes = 48
    /// A longer one does not fit a datagram (RFC 768, RFC 791).
    package static let maximumBytes = 65_507
    /// Attempts of one probe, first datagrams and their copies.
    package static let attempts: UInt32 = 16

    package var direction: Direction
    package var port: UInt16
    package var session: UInt64
    package var probe: UInt64
    /// Below `attempts`.
    package var attempt: UInt32
    /// Of the whole payload.
    package var length = minimumBytes

    package init(
        _ direction: Direction, port: UInt16, session: UInt64, probe: UInt64, attempt: UInt32,
        length: Int = minimumBytes
    ) {
        self.direction = direction
        self.port = port
        self.session = session
        self.probe = probe
        self.attempt = attempt
        self.length = length
    }

    private enum Field {
        static let magic: [UInt8] = [0x50, 0xf0, 0x7e, 0x57]
        static let version = 4
        static let direction = 5
        static let port = 6
        static let session = 8
        static let probe = 16
        static let length = 24
        static let attempt = 28
        static let authentication = 32
        static let filling = 48
    }

    private static let version: UInt8 = 1

    package var answer: ProbePayload {
        var answer = self
        answer.direction = .reply
        return answer
    }

    package func encoded(_ key: SecretKey) -> [UInt8] {
        var bytes = Field.magic
        bytes.reserveCapacity(length)
        bytes.append(ProbePayload.version)
        bytes.append(direction.rawValue)
        bytes.append(bigEndian: port)
        bytes.append(bigEndian: session)
        bytes.append(bigEndian: probe)
        bytes.append(bigEndian: UInt32(length))
        bytes.append(bigEndian: attempt)
        let filling = (0..<length - ProbePayload.minimumBytes).map {
            UInt8(truncatingIfNeeded: $0 &* 7 &+ Int(attempt))
        }
        return bytes + key.authenticate(bytes, filling)[..<16] + filling
    }

    /// What the first 48 bytes say, without a proof: for the cheap refusals before the one that costs. Nil where they are not
    /// the beginning of a payload.
    package init?(unproven bytes: some RandomAccessCollection<UInt8>) {
        let bytes = Array(bytes.prefix(ProbePayload.minimumBytes))
        guard bytes.count == ProbePayload.minimumBytes, bytes.starts(with: Field.magic),
            bytes[Field.version] == ProbePayload.version, let direction = Direction(rawValue: bytes[Field.direction])
        else { return nil }
        let length = bytes.bigEndian(at: Field.length, as: UInt32.self)
        let attempt = bytes.bigEndian(at: Field.attempt, as: UInt32.self)
        guard length >= ProbePayload.minimumBytes, length <= ProbePayload.maximumBytes, attempt < ProbePayload.attempts
        else { return nil }
        self.init(
            direction, port: bytes.bigEndian(at: Field.port, as: UInt16.self),
            session: bytes.bigEndian(at: Field.session, as: UInt64.self),
            probe: bytes.bigEndian(at: Field.probe, as: UInt64.self), attempt: attempt, length: Int(length))
    }

    /// Whether `bytes` are this payload whole, made with the key.
    package func isProven(by bytes: some RandomAccessCollection<UInt8>, _ key: SecretKey) -> Bool {
        guard bytes.count == length, ProbePayload(unproven: bytes) == self else { return false }
        let bytes = Array(bytes)
        let covered = Array(bytes[..<Field.authentication])
        let proof = key.authenticate(covered, Array(bytes[Field.filling...]))[..<16]
        return isSame(proof, bytes[Field.authentication..<Field.filling])
    }
}
