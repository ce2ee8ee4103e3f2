// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
package import PacketFilterRules

extension RulesInspection.Host {
    /// What /proc says about this network namespace.
    package static var here: Self {
        var host = Self()
        host.readQueues = Set(
            lines("/proc/net/netfilter/nfnetlink_queue").compactMap { $0.first.flatMap { UInt16($0) } })
        // Address, interface index, prefix length, scope, flags, name; scope 0x20 is link-local.
        let scopes = lines("/proc/net/if_inet6").filter { $0.count >= 6 && $0[5] != "lo" }.map { $0[3] }
        host.usesIPv6 = !scopes.isEmpty
        host.hasOnlyLinkLocalIPv6 = scopes.allSatisfy { $0 == "20" }
        if number("/proc/sys/net/ipv4/ip_forward") == 1 { host.forwards.insert(.ipv4) }
        if number("/proc/sys/net/ipv6/conf/all/forwarding") == 1 { host.forwards.insert(.ipv6) }
        host.trackedConnections = number("/proc/sys/net/netfilter/nf_conntrack_count") ?? 0
        return host
    }

    private static func lines(_ path: String) -> [[Substring]] {
        ProcFile.text(path).split(separator: "\n").map { $0.split(separator: " ") }
    }

    private static func number(_ path: String) -> Int? { Int(ProcFile.text(path).prefix { $0.isNumber }) }

}

enum ProcFile {
    /// Empty for a file that cannot be read.
    static func text(_ path: String) -> String {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return "" }
        defer { close(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = unsafe read(file, &chunk, chunk.count)
            guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
            bytes += chunk[..<count]
        }
    }
}
