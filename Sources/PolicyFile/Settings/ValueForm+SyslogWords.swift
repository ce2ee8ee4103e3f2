// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

extension ValueForm where Value == SyslogTarget {
    /// The path of a socket, or a transport with a host and a port.
    static let syslogTarget = ValueForm.scalar(
        expectedTarget,
        schema: SchemaText.text("\(SchemaPattern.absolutePath)|\(remotePattern)"),
        print: { yamlText("\($0)") },
        parse: { scalar throws(ScalarFault) in
            let text = scalar.text
            if text.hasPrefix("/") {
                // sockaddr_un holds 107 bytes and a NUL.
                guard text.utf8.count <= 107, text.utf8.last != UInt8(ascii: "/") else {
                    throw ScalarFault("the path of a Unix socket, at most 107 bytes")
                }
                return .local(path: text)
            }
            for (scheme, port) in [("udp", UInt16(514)), ("tcp", 601), ("tls", 6514)] {
                guard text.hasPrefix(scheme + "://") else { continue }
                let endpoint = try remote(text.dropFirst(scheme.count + 3), port)
                switch scheme {
                case "udp": return .udp(endpoint)
                case "tcp": return .tcp(endpoint)
                default: return .tls(endpoint)
                }
            }
            let isBare = !text.contains("://") && isHost(text)
            let host = text.contains(":") ? "[\(text)]" : text
            throw ScalarFault(expectedTarget, suggestion: isBare ? "write udp://\(host.prefix(60))" : nil)
        })
}

extension ValueForm where Value == String {
    /// A name of the DNS or an address.
    static let hostName = ValueForm.scalar(
        expectedHost, schema: SchemaText.text("[0-9A-Za-z._:-]{1,253}"), print: yamlText,
        parse: { scalar throws(ScalarFault) in
            guard isHost(scalar.text) else { throw ScalarFault(expectedHost) }
            return scalar.text
        })

    /// APP-NAME: 48 printable ASCII characters at most (RFC 5424 section 6).
    static let appName = ValueForm.scalar(
        expectedName, schema: SchemaText.text("[!-~]{1,48}"), print: yamlText,
        parse: { scalar throws(ScalarFault) in
            let bytes = scalar.text.utf8
            guard 1...48 ~= bytes.count, bytes.allSatisfy({ 0x21...0x7e ~= $0 }) else {
                throw ScalarFault(expectedName)
            }
            return scalar.text
        })
}

extension ValueForm where Value == UInt64 {
    /// A number of bytes with its unit.
    static func size(_ range: ClosedRange<UInt64>) -> ValueForm {
        .scalar(
            expectedSize(range), schema: SchemaText.text(sizePattern(range)), print: sizeText,
            parse: { scalar throws(ScalarFault) in
                try parseSize(scalar.text, in: range, expected: expectedSize(range))
            })
    }
}

extension ValueForm where Value == SyslogFacility {
    static let facility = ValueForm.names(
        SyslogFacility.allCases.map { ("\($0)", $0) }, expected: "a facility: kern to cron, or local0 to local7")
}

extension ValueForm where Value == SyslogSeverity? {
    static let severity = ValueForm.names(
        [("by-event", nil)] + SyslogSeverity.allCases.map { ("\($0)", .some($0)) },
        expected: "by-event, or a severity: emergency, alert, critical, error, warning, notice, informational or debug")
}

extension ValueForm {
    /// One of many words.
    fileprivate static func names(_ words: [(name: String, value: Value)], expected: String) -> ValueForm {
        .scalar(
            expected, schema: SchemaText.words(words.map(\.name)),
            print: { value in words.first { $0.value == value }?.name ?? "" },
            parse: { scalar throws(ScalarFault) in
                guard let word = words.first(where: { $0.name == scalar.text }) else {
                    throw ScalarFault(expected, suggestion: meant(scalar.text, among: words.map(\.name)))
                }
                return word.value
            })
    }
}

private let remotePattern = {
    let name = "[0-9A-Za-z_][0-9A-Za-z._-]{0,252}"
    return "(?:udp|tcp|tls)://(?:\(name)|\\[\(SchemaPattern.ipv6)\\])(?::\(SchemaPattern.decimal(1...65_535)))?"
}()
private let expectedTarget =
    "a socket such as /dev/log, or udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT, where HOST is a name or an address"
private let expectedHost = "the name of a host, or an address"
private let expectedName = "1 to 48 printable ASCII characters without spaces"

private func isHost(_ text: String) -> Bool {
    let bytes = Array(text.utf8)
    if bytes.contains(UInt8(ascii: ":")) { return IPAddress(parsingV6: bytes.span) != nil }
    return 1...253 ~= bytes.count
        && bytes.allSatisfy { byte in
            UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte | 0x20 || UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
                || byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
        } && bytes[0] != UInt8(ascii: "-") && bytes[0] != UInt8(ascii: ".")
}

/// An IPv6 address stands in brackets, since its colons would hide the port's.
private func remote(_ text: Substring, _ usualPort: UInt16) throws(ScalarFault) -> RemoteEndpoint {
    var host = text
    var port = usualPort
    let colons = text.utf8.count { $0 == UInt8(ascii: ":") }
    if colons > 1, !text.hasPrefix("[") {
        throw ScalarFault(expectedTarget, suggestion: "an IPv6 address stands in brackets: [2001:db8::1]:\(usualPort)")
    }
    if let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") {
        host = text[..<colon]
        port = try decimal(
            String(text[text.index(after: colon)...]), in: 1...UInt16.max,
            expected: "a port behind the host, 1 to 65535")
    }
    let isBracketed = host.hasPrefix("[") && host.hasSuffix("]")
    let name = String(isBracketed ? host.dropFirst().dropLast() : host)
    guard isHost(name), isBracketed == name.utf8.contains(UInt8(ascii: ":")) else { throw ScalarFault(expectedTarget) }
    return RemoteEndpoint(host: name, port: port)
}
