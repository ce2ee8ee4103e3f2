// SPDX-License-Identifier: GPL-3.0-or-later

/// The protocol of the control socket, spoken over a Unix stream socket.
///
/// A message is one JSON object on one line, ended by a line feed. The tool sends a request, the agent sends one reply;
/// then the next request may follow on the same connection. Requests on one connection are answered one after the other.
///
///     {"portreeve":1,"request":"connections","limit":100,"protocol":6}
///     {"portreeve":1,"reply":"connections","rows":[…],"next":4294967300}
///     {"portreeve":1,"reply":"error","code":"unknown-request","message":"…"}
///
/// JSON rather than a binary form because `status --json` prints the same objects, and because a person with `socat` can
/// ask an agent whose tool is missing. Both ends bound what they read: a request is at most `requestLimit` bytes, a reply
/// at most `replyLimit`; what is longer is refused, not truncated. Members that a side does not know are ignored, and a
/// request or reply that means something else than before gets a new `version`.
package enum ControlProtocol {
    package static let version: Int64 = 1
    /// Where the agent listens unless told otherwise.
    package static let defaultPath = "/run/portreeve/control.sock"
    /// Where the agent with this control socket keeps what outlives it, unless told otherwise: the host's agent in the place
    /// that its unit makes for it, another beside its socket.
    package static func stateDirectory(control path: String) -> String {
        if path == defaultPath { return "/var/lib/portreeve" }
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
    /// Bytes of a request, without its line feed.
    package static let requestLimit = 64 << 10
    /// Bytes of a reply, without its line feed.
    package static let replyLimit = 8 << 20
    /// Rows in one page of connections; about 300 bytes each.
    package static let rowLimit = 1000

    /// The start of every message.
    static var marker: JSONValue.Member { JSONValue.Member("portreeve", .integer(version)) }
}

/// A refusal: what the agent answers when it cannot answer.
package struct ControlFailure: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Code: String, CaseIterable, Sendable {
        /// Not a message of this protocol.
        case malformed
        case unsupportedVersion = "unsupported-version"
        case unknownRequest = "unknown-request"
        /// The request or the reply is longer than the protocol allows.
        case tooLong = "too-long"
        /// Too many clients.
        case busy
        /// The agent cannot do this now: it is starting or stopping.
        case unavailable
        /// The agent tried and failed; the message says why.
        case failed
    }

    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }
}
