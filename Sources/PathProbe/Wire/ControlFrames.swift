// SPDX-License-Identifier: GPL-3.0-or-later

/// The lines of the control channel: JSON texts, each after the handshake with a proof of who wrote it.
///
///     32 hexadecimal digits, a space, a JSON text, a line feed
///
/// The proof is HMAC-SHA-256, cut to 16 bytes, over the number of the line in its direction and the text: a line that was
/// inserted, changed, repeated or left out ends the channel.
package struct ControlFrames: Sendable {
    package enum Side: UInt8, Sendable { case client = 1, reflector = 2 }

    /// A line that is longer ends the channel.
    package static let maximumBytes = 64 << 10

    private let side: Side
    private var key: SecretKey?
    private var written: UInt64 = 0
    private var read: UInt64 = 0
    private var received: [UInt8] = []
    /// Up to here there is no line feed.
    private var searched = 0

    package init(_ side: Side) { self.side = side }

    /// From the next line on, both ways.
    package mutating func protect(with key: SecretKey) {
        self.key = key
        written = 0
        read = 0
    }

    package enum Fault: Error, Hashable, Sendable { case tooLong, unproven }

    package mutating func append(_ bytes: ArraySlice<UInt8>) { received.append(contentsOf: bytes) }

    /// The next whole line's text; nil where none has come.
    package mutating func next() throws(Fault) -> [UInt8]? {
        guard let end = received[searched...].firstIndex(of: UInt8(ascii: "\n")) else {
            searched = received.count
            guard received.count <= Self.maximumBytes else { throw .tooLong }
            return nil
        }
        guard end <= Self.maximumBytes else { throw .tooLong }
        let line = received[..<end]
        defer {
            received.removeSubrange(...end)
            searched = 0
        }
        guard let key else { return Array(line) }
        let other: Side = side == .client ? .reflector : .client
        guard line.count > 33, line[32] == UInt8(ascii: " ") else { throw .unproven }
        let text = Array(line[33...])
        let proof = Self.proof(key, other, read, text)
        guard isSame(Array(proof.utf8), line[..<32]) else { throw .unproven }
        read += 1
        return text
    }

    /// The line for a text, which has no line feed.
    package mutating func line(_ text: [UInt8]) -> [UInt8] {
        guard let key else { return text + [UInt8(ascii: "\n")] }
        defer { written += 1 }
        return Array(Self.proof(key, side, written, text).utf8) + [UInt8(ascii: " ")] + text + [UInt8(ascii: "\n")]
    }

    private static func proof(_ key: SecretKey, _ side: Side, _ number: UInt64, _ text: [UInt8]) -> String {
        var header: [UInt8] = [side.rawValue]
        header.append(bigEndian: number)
        return hexadecimal(key.authenticate(header, text)[..<16])
    }
}

/// How both sides of a control channel prove that they have the same key, without saying it. Whoever asks proves first: a
/// stranger gets nothing to try keys against.
struct Handshake: Sendable {
    static let nonceBytes = 32

    private let key: SecretKey
    private let nonces: [UInt8]

    /// `key` is nil where the channel itself is trusted: a pipe, or one through ssh.
    init(_ key: SecretKey?, client: [UInt8], reflector: [UInt8]) {
        self.key = key ?? SecretKey([])
        nonces = client + reflector
    }

    func proof(of side: ControlFrames.Side) -> [UInt8] {
        side == .client
            ? key.authenticate(Array("portreeve client".utf8), nonces)
            : key.authenticate(Array("portreeve reflector".utf8), nonces)
    }

    /// For the lines that follow.
    var channelKey: SecretKey { key.derived(for: "portreeve control", nonces) }
    /// For the probes of the session.
    var payloadKey: SecretKey { key.derived(for: "portreeve payload", nonces) }
}
