// SPDX-License-Identifier: GPL-3.0-or-later

/// Why the control socket cannot be opened.
package enum ControlServerError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Somebody listens there: this agent, or a program that does not speak the protocol.
    case inUse(String, AgentIdentity?)
    case notASocket(String)
    case pathTooLong(String)
    case failed(String, call: String, errno: Int32)

    package var description: String {
        switch self {
        case .inUse(let path, let identity?):
            "socket \(path) is in use by the agent with process id \(identity.processIdentifier): stop it, or "
                + "give this one another socket with --control"
        case .inUse(let path, nil):
            "socket \(path) is in use by another program: give this agent another one with --control"
        case .notASocket(let path): "socket \(path): the path exists and is no socket; remove it"
        case .pathTooLong(let path): "socket \(path): the path is longer than the 107 bytes of a socket address"
        case .failed(let path, let call, let errno):
            "socket \(path): \(call): \(SystemError.text(errno))" + Self.cure(errno, path)
        }
    }

    private static func cure(_ errno: Int32, _ path: String) -> String {
        switch errno {
        case SystemError.noEntry: "; create its directory"
        case SystemError.accessDenied: "; run the agent as root or let it write the directory"
        default: ""
        }
    }
}
