// SPDX-License-Identifier: GPL-3.0-or-later

import NIOCore

/// Why the agent could not be asked, in words for the administrator.
package enum ControlError: Error, Hashable, Sendable, CustomStringConvertible {
    /// No socket there, or nobody listens on it.
    case notRunning(String)
    case permissionDenied(String)
    /// It accepted the connection and did not answer: it hangs, or is very busy.
    case timedOut(String, seconds: Int64)
    /// It ended before the reply was complete.
    case closed(String)
    case malformed(String, String)
    case refused(ControlFailure)
    case failed(String, String)

    init(_ error: any Error, path: String, seconds: Int64) {
        switch error {
        case let error as IOError: self.init(errno: error.errnoCode, path: path)
        case let error as ControlFailure: self = .malformed(path, error.message)
        case is ChannelError, ExchangeError.timedOut: self = .timedOut(path, seconds: seconds)
        case ExchangeError.closed: self = .closed(path)
        case ExchangeError.tooLong: self = .malformed(path, "longer than \(ControlProtocol.replyLimit) bytes")
        case is SocketAddressError: self = .failed(path, "the path is longer than the 107 bytes of a socket address")
        default: self = .failed(path, "\(error)")
        }
    }

    private init(errno: Int32, path: String) {
        switch errno {
        case SystemError.noEntry, SystemError.connectionRefused: self = .notRunning(path)
        case SystemError.accessDenied, SystemError.notPermitted: self = .permissionDenied(path)
        default: self = .failed(path, SystemError.text(errno))
        }
    }

    package var description: String {
        switch self {
        case .notRunning(let path):
            "no agent is running at \(path): this host is not protected, or it is shut, as the rules in place and their "
                + "failure setting have it; start portreeved, or name its socket with --control"
        case .permissionDenied(let path):
            "control socket \(path): permission denied; run this as root or as a member of the socket's group"
        case .timedOut(let path, let seconds):
            "the agent at \(path) accepted the connection and gave no answer within \(seconds) s: it hangs or is "
                + "overloaded; look at its log"
        case .closed(let path): "the agent at \(path) closed the connection without an answer: it is stopping or ended"
        case .malformed(let path, let detail): "the answer of \(path) cannot be understood: \(detail)"
        case .refused(let failure): failure.message
        case .failed(let path, let detail): "control socket \(path): \(detail)"
        }
    }
}
