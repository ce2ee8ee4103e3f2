// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

extension ValueForm where Value == LoopbackEndpoint? {
    /// A loopback address and a port, or `off`.
    static let loopbackEndpoint = ValueForm.scalar(
        expectedEndpoint,
        schema: SchemaText.anyOf(SchemaText.words(["off"]), SchemaText.text(pattern)),
        print: { endpoint in
            guard let endpoint else { return "off" }
            return endpoint.address.isMappedV4 ? "\(endpoint)" : "\"\(endpoint)\""
        },
        parse: { scalar throws(ScalarFault) in
            if scalar.text == "off" { return nil }
            return try endpoint(scalar.text)
        })
}

private let expectedEndpoint = "off, or a loopback address and a port, such as 127.0.0.1:9470 or \"[::1]:9470\""

private let pattern: String = {
    let octet = SchemaPattern.decimal(0...255)
    let loopback = "\\[(?=\(SchemaPattern.ipv6)\\])[0:]*:(?:0{0,3}1|0\\.0\\.0\\.1)\\]"
    return "(?:127(?:\\.\(octet)){3}|\(loopback)):\(SchemaPattern.decimal(1...65_535))"
}()

private func endpoint(_ text: String) throws(ScalarFault) -> LoopbackEndpoint {
    guard let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") else {
        throw ScalarFault(
            expectedEndpoint, suggestion: text.contains(".") ? "add a port: \(text.prefix(45)):9470" : nil)
    }
    let address = try address(text[..<colon])
    let port = try decimal(
        String(text[text.index(after: colon)...]), in: 1...UInt16.max, expected: "a port after the address, 1 to 65535")
    guard let endpoint = LoopbackEndpoint(address: address, port: port) else {
        throw ScalarFault(
            expectedEndpoint,
            suggestion: "metrics are for this host only: let a proxy that authenticates serve them to others")
    }
    return endpoint
}

/// IPv6 stands in brackets, since its colons would hide the port's.
private func address(_ text: Substring) throws(ScalarFault) -> IPAddress {
    let isBracketed = text.hasPrefix("[") && text.hasSuffix("]")
    let bytes = Array((isBracketed ? text.dropFirst().dropLast() : text).utf8)
    let address = isBracketed ? IPAddress(parsingV6: bytes.span) : IPAddress(parsingV4: bytes.span)
    guard let address else {
        let name = text == "localhost" ? "write 127.0.0.1, or \"[::1]\"" : nil
        throw ScalarFault(expectedEndpoint, suggestion: name)
    }
    return address
}
