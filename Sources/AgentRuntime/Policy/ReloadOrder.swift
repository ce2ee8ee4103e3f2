// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import AgentControl

/// How a policy is to be put in force, and by whom.
struct ReloadOrder: Sendable {
    var isForced = false
    var confirmSeconds: Int64?
    var asker = ReloadAsker.signal
    var author = CallerSession(ssh: nil, login: nil, terminal: 0)
    /// Sessions that the asking program knows of.
    var sessions: [SSHSession] = []

    /// A signal, of which nobody knows who sent it.
    init() {}

    /// Nobody's: the files of lists have changed.
    init(forLists files: [String]) { asker = .lists(files) }

    init(_ request: ReloadRequest, of peer: ControlPeer?) {
        asker = .client(peer)
        isForced = request.isForced
        confirmSeconds = request.confirmSeconds
        author = CallerSession(from: request.caller)
        sessions = request.sessions.prefix(ReloadRequest.sessionLimit).compactMap { SSHSession($0) }
    }
}

/// Who had a policy put in force.
enum ReloadAsker: Sendable {
    /// SIGHUP, of which nobody knows who sent it.
    case signal
    /// Who is at the control socket, where the kernel says it.
    case client(ControlPeer?)
    /// Nobody: a policy on trial was not confirmed.
    case endOfTrial
    /// Whoever has changed the files of these lists.
    case lists([String])

    var isOfLists: Bool { if case .lists = self { true } else { false } }

    /// "root (user 0, process 4711)"; the name is looked up in /etc/passwd alone, which waits for no network.
    var text: String {
        switch self {
        case .signal: "a signal (SIGHUP)"
        case .client(nil): "a client of the control socket"
        case .client(let peer?):
            "\(Self.name(of: peer.userID) ?? "a user without a name here") (user \(peer.userID), process \(peer.processID))"
        case .lists(let files): "a change of \(files.joined(separator: ", "))"
        case .endOfTrial: "nobody: the policy on trial was not confirmed"
        }
    }

    private static func name(of user: UInt32) -> String? {
        for line in SmallFile.read("/etc/passwd")?.split(separator: "\n") ?? [] {
            let fields = line.split(separator: ":", omittingEmptySubsequences: false)
            if fields.count > 2, UInt32(fields[2]) == user { return String(fields[0]) }
        }
        return nil
    }
}

extension CallerSession {
    /// Nobody who is known where there is no text, or none that can be read.
    init(from text: String?) {
        self = text.flatMap { CallerSession($0) } ?? CallerSession(ssh: nil, login: nil, terminal: 0)
    }
}
