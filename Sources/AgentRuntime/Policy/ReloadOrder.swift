// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import AgentControl

/// How a policy is to be put in force, and by whom.
struct ReloadOrder: Sendable {
    var isForced = false
    var confirmSeconds: Int64?
    var author = CallerSession(ssh: nil, login: nil, terminal: 0)
    /// Sessions that the asking program knows of.
    var sessions: [SSHSession] = []

    /// A signal, of which nobody knows who sent it.
    init() {}

    init(_ request: ReloadRequest) {
        isForced = request.isForced
        confirmSeconds = request.confirmSeconds
        author = CallerSession(from: request.caller)
        sessions = request.sessions.prefix(ReloadRequest.sessionLimit).compactMap { SSHSession($0) }
    }
}

extension CallerSession {
    /// Nobody who is known where there is no text, or none that can be read.
    init(from text: String?) {
        self = text.flatMap { CallerSession($0) } ?? CallerSession(ssh: nil, login: nil, terminal: 0)
    }
}
