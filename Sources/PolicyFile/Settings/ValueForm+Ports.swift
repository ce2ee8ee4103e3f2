// SPDX-License-Identifier: GPL-3.0-or-later

extension ValueForm where Value == [UInt16] {
    /// So many the packet path looks through.
    private static let mostPorts = 16

    /// A few ports, without order.
    static let controlPorts: ValueForm = {
        let several = ValueForm.oneOrSeveral(.controlPort, expected: expectedPorts)
        return ValueForm(several.expected, schema: several.schema, print: several.print) { node, sink in
            guard let ports = several.read(node, &sink).map({ Set($0).sorted() }) else { return nil }
            guard ports.count <= mostPorts else {
                sink.error(
                    at: node.place, found: "\(ports.count) ports", expected: expectedPorts,
                    suggestion: "name the ports at which FTP servers listen for control connections")
                return nil
            }
            return ports
        }
    }()
}

extension ValueForm where Value == UInt16 {
    fileprivate static let controlPort = ValueForm.scalar(
        expectedPort, schema: SchemaText.number(1...65_535), print: { String($0) },
        parse: { scalar throws(ScalarFault) in try decimal(scalar.text, in: 1...UInt16.max, expected: expectedPort) })
}

private let expectedPort = "a port, 1 to 65535"
private let expectedPorts = "a sequence of at most 16 ports such as 21"
