// SPDX-License-Identifier: GPL-3.0-or-later

import CSyslogShim
import FirewallPolicy
import Glibc

/// Why a receiver of syslog takes nothing: what, where and the cure.
struct SyslogFault: Error, Hashable {
    enum Cause: Hashable {
        /// A code of the resolver.
        case unknownHost(Int32)
        case isBeingConnected
        case doesNotAnswer
        case doesNotRead
        case closed
        /// The system call's `errno`.
        case system(Int32)
        /// In TLS's words.
        case tls(String)
    }

    let target: SyslogTarget
    let cause: Cause

    var ofOutput: OutputError {
        OutputError(
            description: "no events reach \(target) (events.syslog): \(text)",
            mayPassSoon: cause == .doesNotRead || cause == .isBeingConnected)
    }

    private var text: String {
        switch cause {
        case .unknownHost(let code):
            "\(unsafe String(cString: csyslog_resolver_text(code))); write its address, or mend the name service"
        case .isBeingConnected: "it is being connected"
        case .doesNotAnswer:
            "it does not answer within 5 s; look whether packets to it pass (portreeve explain) and whether it runs"
        case .doesNotRead: "it does not read; restart it"
        case .closed: "it closed the connection; look into its own log"
        case .system(let code): "\(unsafe String(cString: strerror(code))); \(cure(code))"
        case .tls(let words): "\(words); look at tls.ca, tls.name, tls.certificate and tls.key"
        }
    }

    private func cure(_ code: Int32) -> String {
        switch (code, target) {
        case (ENOENT, .local), (ECONNREFUSED, .local), (ENOTDIR, .local):
            "start what listens there, or change the target"
        case (EACCES, .local): "let the agent's user write to the socket"
        case (ECONNREFUSED, _): "start the receiver, or change the port"
        case (EPERM, _), (EACCES, _): "let the packet filter pass what this host sends to it"
        case (EHOSTUNREACH, _), (ENETUNREACH, _), (ENETDOWN, _): "look at the routes to it, and whether it runs"
        case (EMSGSIZE, _), (ENOBUFS, _): "lower message-size"
        case (EMFILE, _), (ENFILE, _): "raise the limit on open files"
        case (EAFNOSUPPORT, _): "let the service use such sockets (RestrictAddressFamilies of its unit)"
        default: "look at the receiver and the way to it"
        }
    }
}
