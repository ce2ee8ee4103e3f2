// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import Glibc

/// Reads which ports local sockets listen on (`ListeningPorts`). Socket tables in /proc are text: one
/// line a socket, `sl local_address remote_address st …`, addresses and ports in hexadecimal.
enum ListeningSockets {
    private enum State {
        static let listening: Substring = "0A"
        /// TCP_CLOSE, which is what an unconnected UDP socket is in.
        static let unconnected: Substring = "07"
    }

    static func read() -> ListeningPorts {
        var ports = ListeningPorts()
        for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
            // The listening ones come first. The table of a busy server has hundreds of thousands of others.
            forEachSocket(file) { port, state in
                guard state == State.listening else { return false }
                ports.insert(tcp: port)
                return true
            }
        }
        for file in ["/proc/net/udp", "/proc/net/udp6"] {
            forEachSocket(file) { port, state in
                if state == State.unconnected { ports.insert(udp: port) }
                return true
            }
        }
        return ports
    }

    /// Until `body` returns false.
    private static func forEachSocket(_ file: String, _ body: (_ port: UInt16, _ state: Substring) -> Bool) {
        SmallFile.forEachLine(file) { line in
            let fields = line.split(separator: " ", maxSplits: 4, omittingEmptySubsequences: true)
            // The first line is of headings.
            guard fields.count > 3, let colon = fields[1].lastIndex(of: ":"),
                let port = UInt16(fields[1][fields[1].index(after: colon)...], radix: 16)
            else { return true }
            return body(port, fields[3])
        }
    }
}
