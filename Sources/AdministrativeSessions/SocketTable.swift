// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// One row of the kernel's table of TCP sockets, as /proc/net/tcp and tcp6 print it.
struct TCPSocket: Hashable {
    enum State { case established, listening, other }

    let local: IPAddress
    let localPort: UInt16
    let remote: IPAddress
    let remotePort: UInt16
    let state: State
    /// By which processes' descriptors name it.
    let inode: UInt64

    /// "0: 0202A8C0:0016 0102A8C0:9CB0 01 … inode …": addresses and ports in hexadecimal, an address in words of the
    /// machine's byte order.
    init?(_ line: String) {
        let fields = line.split(separator: " ", maxSplits: 10, omittingEmptySubsequences: true)
        guard fields.count > 9, let local = Self.end(fields[1]), let remote = Self.end(fields[2]),
            let inode = UInt64(fields[9])
        else { return nil }
        (self.local, localPort) = local
        (self.remote, remotePort) = remote
        state = fields[3] == "01" ? .established : fields[3] == "0A" ? .listening : .other
        self.inode = inode
    }

    private static func end(_ text: Substring) -> (IPAddress, UInt16)? {
        let parts = text.split(separator: ":")
        guard parts.count == 2, let port = UInt16(parts[1], radix: 16) else { return nil }
        if parts[0].count == 8 {
            return UInt32(parts[0], radix: 16).map { (IPAddress(v4: UInt32(bigEndian: $0)), port) }
        }
        guard parts[0].count == 32 else { return nil }
        var words: [UInt32] = []
        var rest = parts[0]
        while !rest.isEmpty {
            guard let word = UInt32(rest.prefix(8), radix: 16) else { return nil }
            words.append(UInt32(bigEndian: word))
            rest = rest.dropFirst(8)
        }
        let address = IPAddress(
            high: UInt64(words[0]) << 32 | UInt64(words[1]), low: UInt64(words[2]) << 32 | UInt64(words[3]))
        return (address, port)
    }
}

/// The TCP sockets of this network namespace that listen or have a peer.
struct SocketTable {
    private(set) var listening: [TCPSocket] = []
    private(set) var established: [TCPSocket] = []

    static func read() -> SocketTable {
        var table = SocketTable()
        for name in ["/proc/net/tcp", "/proc/net/tcp6"] { table.add(ProcessFiles.text(name) ?? "") }
        return table
    }

    mutating func add(_ text: String) {
        // The first line is of headings.
        for line in text.split(separator: "\n").dropFirst() {
            guard let socket = TCPSocket(String(line)) else { continue }
            switch socket.state {
            case .listening: listening.append(socket)
            case .established: established.append(socket)
            case .other: break
            }
        }
    }
}
