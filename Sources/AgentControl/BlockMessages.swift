// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

/// Who has a source blocked: an administrator, the agent's own detection, or a program that an administrator lets do it.
package struct BlockAuthor: Hashable, Sendable {
    package let rawValue: String

    package static let administrator = BlockAuthor(checked: "administrator")
    /// Reconnaissance detection.
    package static let reconnaissance = BlockAuthor(checked: "reconnaissance")

    /// Bytes of a name.
    package static let limit = 64

    private init(checked: String) { rawValue = checked }

    /// A word that can stand between two spaces: letters, digits and ".-_/:@", at most `limit` of them.
    package init?(rawValue: String) {
        guard 1...Self.limit ~= rawValue.utf8.count, rawValue.utf8.allSatisfy(Self.isOfName) else { return nil }
        self.rawValue = rawValue
    }

    /// The name by which a program calls itself: none of those that the agent gives.
    package init?(program: String) {
        self.init(rawValue: program)
        if self == .administrator || self == .reconnaissance { return nil }
    }

    private static func isOfName(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: ".-_/:@".utf8.contains(byte)
        }
    }
}

/// A source that is to be blocked.
package struct BlockRequest: Hashable, Sendable {
    package var address: IPAddress
    package var seconds: Int64
    /// For who looks at it later; may be empty.
    package var why = ""
    /// The program that asks, where it is not an administrator himself.
    package var program: BlockAuthor?
    /// Sessions of administrators that the asking program sees, as in SSH_CONNECTION.
    package var sessions: [String] = []

    package static let secondsRange: ClosedRange<Int64> = 1...(366 * 86_400)
    /// Bytes of `why`.
    package static let whyLimit = 200

    package init(address: IPAddress, seconds: Int64) {
        self.address = address
        self.seconds = seconds
    }

    /// Whether it can stand in a line of a file, and of a terminal.
    package static func isReason(_ text: String) -> Bool {
        text.utf8.count <= whyLimit && text.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7f...0x9f ~= $0.value) }
    }
}

/// A source that is to be blocked no more.
package struct UnblockRequest: Hashable, Sendable {
    package var address: IPAddress
    /// The program that asks: it lifts its own block alone. Nil: an administrator, who lifts everybody's.
    package var program: BlockAuthor?

    package init(address: IPAddress, program: BlockAuthor? = nil) {
        self.address = address
        self.program = program
    }
}

/// A source that is blocked.
package struct BlockReport: Hashable, Sendable {
    package var address: IPAddress
    package var author: BlockAuthor
    /// Seconds since 1970.
    package var since: Int64
    package var until: Int64
    package var why: String
    /// In replies: whether what has become of it is written down, to outlive the agent.
    package var isKept = true

    package init(address: IPAddress, author: BlockAuthor, since: Int64, until: Int64, why: String) {
        self.address = address
        self.author = author
        self.since = since
        self.until = until
        self.why = why
    }

    package var isIPv6: Bool { !address.isMappedV4 }
}

extension BlockRequest {
    var members: [JSONValue.Member] {
        var members: [JSONValue.Member] = [.init("address", .text("\(address)")), .init("seconds", .count(seconds))]
        if !why.isEmpty { members.append(.init("why", .text(why))) }
        if let program { members.append(.init("by", .text(program.rawValue))) }
        if !sessions.isEmpty { members.append(.init("sessions", .texts(sessions))) }
        return members
    }

    init(_ reader: MessageReader) throws(ControlFailure) {
        address = try reader.word("address") { IPAddress(parsing: $0) }
        seconds = try reader.integer("seconds")
        guard Self.secondsRange.contains(seconds) else {
            throw ControlFailure(
                .malformed,
                "member \"seconds\": expected \(Self.secondsRange.lowerBound) to \(Self.secondsRange.upperBound)"
            )
        }
        why = try reader.optional("why", reader.text) ?? ""
        guard Self.isReason(why) else {
            throw ControlFailure(
                .malformed, "member \"why\": expected at most \(Self.whyLimit) bytes without control characters")
        }
        program = try reader.program("by")
        sessions = try reader.optional("sessions", reader.texts) ?? []
    }
}

extension UnblockRequest {
    var members: [JSONValue.Member] {
        [.init("address", .text("\(address)"))] + (program.map { [.init("by", .text($0.rawValue))] } ?? [])
    }

    init(_ reader: MessageReader) throws(ControlFailure) {
        address = try reader.word("address") { IPAddress(parsing: $0) }
        program = try reader.program("by")
    }
}

extension MessageReader {
    fileprivate func program(_ name: String) throws(ControlFailure) -> BlockAuthor? {
        try optional(name) { name throws(ControlFailure) in try word(name, BlockAuthor.init(program:)) }
    }
}

extension BlockReport {
    /// As the control socket and `blocks --json` show it.
    package var json: JSONValue { .object(members) }

    var members: [JSONValue.Member] {
        [
            .init("address", .text("\(address)")), .init("by", .text(author.rawValue)), .init("since", .count(since)),
            .init("until", .count(until)), .init("why", .text(why)),
        ] + (isKept ? [] : [.init("kept", .bool(false))])
    }

    init(_ reader: MessageReader) throws(ControlFailure) {
        address = try reader.word("address") { IPAddress(parsing: $0) }
        author = try reader.word("by", BlockAuthor.init(rawValue:))
        since = try reader.integer("since")
        until = try reader.integer("until")
        why = try reader.text("why")
        isKept = try reader.optional("kept", reader.bool) ?? true
    }
}
