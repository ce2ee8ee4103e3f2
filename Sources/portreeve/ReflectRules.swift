// SPDX-License-Identifier: GPL-3.0-or-later

import ArgumentParser
import PathProbe

/// The rules that let a reflector's own traffic in: its control channel, and the ports of a scan on its own host.
struct ReflectRules {
    enum Form: String, ExpressibleByArgument, CaseIterable { case policy, iptables }

    var controlPort: UInt16
    var tcp: PortSet
    var udp: PortSet
    /// As the command line has them; everybody where it is empty.
    var sources: [String]

    func text(_ form: Form) -> String { form == .policy ? policy : iptables }

    /// A drop-in file for `policy.d`. Answers pass by the state of their connections; a datagram that nobody asked for is let in
    /// by force alone.
    private var policy: String {
        let source = sources.isEmpty ? "" : ", source: { addresses: [\(sources.joined(separator: ", "))] }"
        let rules = named.map { name, proto, ports in
            "  - { name: \(name), action: \(proto == "udp" ? "force-allow" : "allow"), direction: incoming, "
                + "protocol: \(proto)\(source), "
                + "destination: { ports: [\(ports.map(range).joined(separator: ", "))] } }\n"
        }
        return "version: 1\nrules:\n" + rules.joined()
    }

    private var iptables: String {
        let sources = self.sources.isEmpty ? [nil] : self.sources.map(Optional.some)
        return named.flatMap { name, proto, ports in
            sources.flatMap { source in
                let tools = source.map { [$0.contains(":") ? "ip6tables" : "iptables"] } ?? ["iptables", "ip6tables"]
                return tools.flatMap { tool in
                    ports.map { port in
                        let from = source.map { " -s \($0)" } ?? ""
                        let range = port.count == 1 ? "\(port.lowerBound)" : "\(port.lowerBound):\(port.upperBound)"
                        return "\(tool) -A INPUT -p \(proto)\(from) --dport \(range) -j ACCEPT\n"
                    }
                }
            }
        }.joined()
    }

    private var named: [(name: String, proto: String, ports: [ClosedRange<UInt16>])] {
        [
            ("Path test control", "tcp", [controlPort...controlPort]), ("Path test TCP", "tcp", tcp.ranges),
            ("Path test UDP", "udp", udp.ranges),
        ].filter { !$0.2.isEmpty }
    }

    private func range(_ ports: ClosedRange<UInt16>) -> String {
        ports.count == 1 ? "\(ports.lowerBound)" : "\(ports.lowerBound)-\(ports.upperBound)"
    }
}
