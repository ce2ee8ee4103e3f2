// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

/// A source that is to be blocked.
package struct BlockRequest: Hashable, Sendable {
    package var address: IPAddress
    package var seconds: Int64
    /// For who looks at it later; may be empty.
    package var why = ""
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

/// A source that is blocked.
package struct BlockReport: Hashable, Sendable {
    package enum Author: String, Sendable, CaseIterable {
        case administrator
        /// Reconnaissance detection.
        case reconnaissance
    }

    package var address: IPAddress
    package var author: Author
    /// Seconds since 1970.
    package var since: Int64
    package var until: Int64
    package var why: String

    package init(address: IPAddress, author: Author, since: Int64, until: Int64, why: String) {
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
        sessions = try reader.optional("sessions", reader.texts) ?? []
    }
}

extension BlockReport {
    /// As the control socket and `blocks --json` show it.
    package var json: JSONValue { .object(members) }

    var members: [JSONValue.Member] {
        [
            .init("address", .text("\(address)")), .init("by", .text(author.rawValue)), .init("since", .count(since)),
            .init("until", .count(until)), .init("why", .text(why)),
        ]
    }

    init(_ reader: MessageReader) throws(ControlFailure) {
        address = try reader.word("address") { IPAddress(parsing: $0) }
        author = try reader.word("by", Author.init(rawValue:))
        since = try reader.integer("since")
        until = try reader.integer("until")
        why = try reader.text("why")
    }
}
