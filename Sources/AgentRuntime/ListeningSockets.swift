// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import Glibc

/// Reads which ports local sockets listen on, for Out of Allowed Policy (Open Port). Socket tables in /proc are text: one
/// line a socket, `sl local_address remote_address st …`, addresses and ports in hexadecimal.
enum ListeningSockets {
    static func read() -> ListeningPorts {
        var ports = ListeningPorts()
        for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
            // 0A is TCP_LISTEN.
            for port in localPorts(file, state: "0A") { ports.insert(tcp: port) }
        }
        for file in ["/proc/net/udp", "/proc/net/udp6"] {
            // 07 is TCP_CLOSE, which is what an unconnected UDP socket is in.
            for port in localPorts(file, state: "07") { ports.insert(udp: port) }
        }
        return ports
    }

    private static func localPorts(_ file: String, state: Substring) -> [UInt16] {
        guard let text = SmallFile.read(file) else { return [] }
        return text.split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: " ", maxSplits: 4, omittingEmptySubsequences: true)
            guard fields.count > 3, fields[3] == state, let colon = fields[1].lastIndex(of: ":") else { return nil }
            return UInt16(fields[1][fields[1].index(after: colon)...], radix: 16)
        }
    }
}
