// SPDX-License-Identifier: GPL-3.0-or-later

/// What the server spends on its clients at most.
package struct ControlLimits: Hashable, Sendable {
    /// At once; the next one is told that the agent is busy.
    package var clients = 16
    /// Seconds from the connection, or from the last reply, to the end of the next request.
    package var requestSeconds: Int64 = 30
    /// Seconds that a client takes to accept a reply.
    package var replySeconds: Int64 = 10

    package init() {}
}
