// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
package import PacketWire

/// Where this host's SSH servers listen, and who is connected to them.
///
/// A privileged process sees which sockets are an SSH server's. The agent, which is not, goes by ports: 22, and those of the
/// server's configuration. Both know what the other would where it can be known; a port that nobody names is not found.
package struct SSHServers: Sendable {
    /// Ports on which an SSH server listens now.
    package let ports: Set<UInt16>
    /// Connections to them from other hosts that are established.
    package let sessions: [SSHSession]

    /// Programs that serve SSH; OpenSSH 9.8 splits its own.
    private static let programs: Set = ["sshd", "sshd-session", "sshd-auth", "dropbear", "tinysshd"]

    /// Those of this network namespace.
    package static func here() -> SSHServers {
        let servers = ProcessFiles.all.filter { programs.contains(ProcessFiles.name(of: $0)) }
        return SSHServers(
            SocketTable.read(), configured: configuredPorts("/etc/ssh"),
            ownedByServers: Set(servers.flatMap(ProcessFiles.sockets)))
    }

    /// - Parameters:
    ///   - table: the sockets of the network namespace.
    ///   - configured: ports that an SSH server is told to listen on.
    ///   - ownedByServers: inodes of sockets that are SSH servers', as far as is known.
    init(_ table: SocketTable, configured: Set<UInt16>, ownedByServers: Set<UInt64>) {
        let listening = Set(table.listening.map(\.localPort))
        let owned = (table.listening + table.established).filter { ownedByServers.contains($0.inode) }
        // Where another program listens for the server (inetd, systemd), the server has the connections only. A server also
        // opens connections for its clients, from ports that listen nowhere.
        ports = configured.union([22]).union(owned.map(\.localPort)).intersection(listening)
        let ports = self.ports
        sessions = table.established.filter { ports.contains($0.localPort) }.map {
            SSHSession(client: $0.remote, clientPort: $0.remotePort, server: $0.local, serverPort: $0.localPort)
        }.filter { $0.client != $0.server }
    }

    /// Whether an administrator is connected from this address.
    package func isAdministrator(_ address: IPAddress) -> Bool { sessions.contains { $0.client == address } }

    /// `Port` and `ListenAddress` of sshd_config(5), wherever they stand.
    static func configuredPorts(_ directory: String) -> Set<UInt16> {
        let more = "\(directory)/sshd_config.d"
        let files =
            ["\(directory)/sshd_config"]
            + ProcessFiles.names(in: more).filter { $0.hasSuffix(".conf") }.map { "\(more)/\($0)" }
        return Set(files.compactMap(ProcessFiles.text).flatMap { ports(inConfiguration: $0) })
    }

    static func ports(inConfiguration text: String) -> [UInt16] {
        text.split(whereSeparator: \.isNewline).compactMap { line in
            let words = line.split { " \t=\"".contains($0) }
            guard words.count >= 2 else { return nil }
            switch words[0].lowercased() {
            case "port": return UInt16(words[1])
            // "192.0.2.1:2222", "[2001:db8::1]:2222"; an IPv6 address without brackets has no port behind it.
            case "listenaddress":
                guard let colon = words[1].lastIndex(of: ":"),
                    words[1].hasPrefix("[") || words[1].firstIndex(of: ":") == colon
                else { return nil }
                return UInt16(words[1][words[1].index(after: colon)...])
            default: return nil
            }
        }
    }
}
