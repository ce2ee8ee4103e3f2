// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking

extension ValueForm where Value == TrackedProtocols {
    /// Protocols whose connections are tracked, or `off` for none.
    static let trackedProtocols: ValueForm = {
        let several = ValueForm<[TrackedProtocols]>.oneOrSeveral(
            .words(["tcp": .tcp, "udp": .udp, "icmp": .icmp], advice: ["on": "write [tcp, udp, icmp]"]),
            expected: expected)
        return ValueForm(
            expected, schema: SchemaText.anyOf(SchemaText.values(#""off",false"#), several.schema),
            print: { $0.isEmpty ? "off" : "[" + names(of: $0).joined(separator: ", ") + "]" }
        ) { node, sink in
            if node.text == "off" { return [] }
            return several.read(node, &sink).map { TrackedProtocols($0) }
        }
    }()

    private static var expected: String { "off, or a sequence of tcp, udp and icmp" }

    private static func names(of protocols: TrackedProtocols) -> [String] {
        [("tcp", TrackedProtocols.tcp), ("udp", .udp), ("icmp", .icmp)].filter { protocols.contains($0.1) }.map(\.0)
    }
}
