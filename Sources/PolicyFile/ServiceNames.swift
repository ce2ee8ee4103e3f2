// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

/// The names that services(5) gives to ports. A name stands for its port in every transport that has ports; where one line
/// has it as its name and another as an alias, the alias does not count.
struct ServiceNames: Sendable {
    private var ports: [String: [PortRange]] = [:]

    /// Reads the bytes of the file; a line that is none of its form is nothing.
    init(_ bytes: [UInt8]) {
        var aliases: [String: Set<UInt16>] = [:]
        var names: [String: Set<UInt16>] = [:]
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let text = line.prefix { $0 != UInt8(ascii: "#") }
            let words = text.split { $0 == 0x20 || $0 == 0x09 || $0 == 0x0d }.map {
                String(decoding: $0, as: UTF8.self)
            }
            guard words.count >= 2, let port = ServiceNames.port(words[1]) else { continue }
            names[words[0], default: []].insert(port)
            for alias in words.dropFirst(2) { aliases[alias, default: []].insert(port) }
        }
        for (name, numbers) in aliases.merging(names, uniquingKeysWith: { $1 }) {
            ports[name] = PortSyntax.joined(numbers.map { PortRange(first: $0, last: $0) })
        }
    }

    /// `22/tcp`
    private static func port(_ text: String) -> UInt16? {
        let parts = text.split(separator: "/")
        guard parts.count == 2, ["tcp", "udp", "sctp", "dccp", "udplite"].contains(parts[1]) else { return nil }
        return UInt16(parts[0])
    }

    fileprivate init(_ surroundings: Surroundings) {
        self.init((try? surroundings.read(Surroundings.services)) ?? [])
    }

    var isEmpty: Bool { ports.isEmpty }

    var names: some Sequence<String> { ports.keys }

    func ports(of name: String) -> [PortRange]? { ports[name] }
}

/// The names of the host, read once and only if a policy uses one: what is read belongs to the policy, and is kept with it.
final class HostServices {
    private let surroundings: Surroundings
    private(set) lazy var names = ServiceNames(surroundings)

    init(_ surroundings: Surroundings) { self.surroundings = surroundings }
}
