// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// Who runs this program, as far as can be told: so that a change can ask to be confirmed by somebody who has got in since.
package struct CallerSession: Hashable, Sendable {
    /// The SSH connection; nil where there is none, or none can be found.
    package var ssh: SSHSession?
    /// Number of the login in the kernel's audit, which outlives sudo and su and cannot be put off.
    package var login: UInt32?
    /// The controlling terminal's device number; 0 without one.
    package var terminal: UInt32

    package init(ssh: SSHSession?, login: UInt32?, terminal: UInt32) {
        self.ssh = ssh
        self.login = login
        self.terminal = terminal
    }

    /// The session of this process.
    package static var here: CallerSession {
        let lineage = ProcessFiles.lineage(of: getpid())
        return CallerSession(
            ssh: connectionInEnvironment(lineage) ?? connectionOfServer(lineage), login: loginNumber,
            terminal: ProcessFiles.terminal(of: getpid()))
    }

    /// sudo takes the variable away, so the processes above are looked at too.
    private static func connectionInEnvironment(_ lineage: [pid_t]) -> SSHSession? {
        let name = "SSH_CONNECTION="
        for process in lineage {
            let variable = ProcessFiles.environment(of: process).first { $0.hasPrefix(name) }
            if let variable, let session = SSHSession(String(variable.dropFirst(name.count))) { return session }
        }
        return nil
    }

    /// The connection of the SSH server above, which the whole session may have forgotten.
    private static func connectionOfServer(_ lineage: [pid_t]) -> SSHSession? {
        let servers = lineage.filter { ProcessFiles.name(of: $0).hasPrefix("sshd") }
        guard !servers.isEmpty else { return nil }
        let sockets = Set(servers.flatMap(ProcessFiles.sockets))
        return SocketTable.read().established.first { sockets.contains($0.inode) }.map {
            SSHSession(client: $0.remote, clientPort: $0.remotePort, server: $0.local, serverPort: $0.localPort)
        }
    }

    private static var loginNumber: UInt32? {
        let number = ProcessFiles.text("/proc/self/sessionid").flatMap { UInt32($0.prefix { $0.isNumber }) }
        return number == .max ? nil : number
    }

    /// Whether it sits at the machine itself: a virtual console or a serial line (devices.txt of the kernel: major 4; 204
    /// and 229 for those of other hardware and of hypervisors).
    var isConsole: Bool { ssh == nil && [4, 5, 204, 229].contains(major) && terminal != 0 }

    /// Of a device number as the kernel writes it into /proc.
    private var major: UInt32 { terminal >> 8 & 0xfff }
}

extension CallerSession {
    /// Whether a change that `self` made may be confirmed by `other`: not by the session that made it, whose going on shows
    /// nothing, for what is open goes on. Who comes without any trace of a connection is at the machine.
    package func mayBeConfirmed(by other: CallerSession) -> Bool {
        if let ssh, let theirs = other.ssh { return ssh != theirs }
        if other.isConsole { return true }
        if let login, login == other.login { return false }
        return terminal == 0 || terminal != other.terminal
    }

    /// In one line, as `init` reads it.
    package var text: String {
        "terminal \(terminal) login \(login.map { "\($0)" } ?? "-") ssh \(ssh?.text ?? "-")"
    }

    package init?(_ text: String) {
        let words = text.split(separator: " ", maxSplits: 5)
        guard words.count == 6, words[0] == "terminal", let terminal = UInt32(words[1]), words[2] == "login",
            words[4] == "ssh"
        else { return nil }
        self.init(ssh: SSHSession(String(words[5])), login: UInt32(words[3]), terminal: terminal)
    }
}
