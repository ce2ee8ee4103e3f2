// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

/// A connection of an administrator to the SSH server of this host.
package struct SSHSession: Hashable, Sendable {
    package let client: IPAddress
    package let clientPort: UInt16
    package let server: IPAddress
    package let serverPort: UInt16

    package init(client: IPAddress, clientPort: UInt16, server: IPAddress, serverPort: UInt16) {
        (self.client, self.clientPort, self.server, self.serverPort) = (client, clientPort, server, serverPort)
    }

    /// As sshd says it to what it starts, in SSH_CONNECTION: "198.51.100.7 40112 192.0.2.10 22".
    package init?(_ text: String) {
        let words = text.split(separator: " ")
        // A link-local address may have its zone behind it.
        let addresses = words.map { $0.prefix { $0 != "%" } }
        guard words.count == 4, let client = IPAddress(parsing: addresses[0]), let clientPort = UInt16(words[1]),
            let server = IPAddress(parsing: addresses[2]), let serverPort = UInt16(words[3])
        else { return nil }
        self.init(client: client, clientPort: clientPort, server: server, serverPort: serverPort)
    }

    /// The form that `init` reads.
    package var text: String { "\(client) \(clientPort) \(server) \(serverPort)" }

    /// For people: "198.51.100.7 port 40112 to 192.0.2.10 port 22".
    package var sentence: String { "\(client) port \(clientPort) to \(server) port \(serverPort)" }
}
