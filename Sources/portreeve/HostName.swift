// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import PathProbe

/// Names of hosts, by the system's resolver.
enum HostName {
    enum Family: String { case any, v4, v6 }

    /// "reflect.example", "reflect.example:7411", "[2001:db8::1]:7411", "2001:db8::1".
    static func split(_ text: String) -> (host: String, port: UInt16?)? {
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return nil }
            let host = String(text[text.index(after: text.startIndex)..<end])
            let rest = text[text.index(after: end)...]
            if rest.isEmpty { return (host, nil) }
            guard rest.hasPrefix(":"), let port = UInt16(rest.dropFirst()) else { return nil }
            return (host, port)
        }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return text.isEmpty ? nil : (text, nil) }
        guard let port = UInt16(parts[1]), port > 0, !parts[0].isEmpty else { return nil }
        return (String(parts[0]), port)
    }

    /// The first address of the family that the resolver gives; nil and its words where it gives none.
    static func resolve(_ host: String, _ family: Family) -> Result<Endpoint, SystemText> {
        if let endpoint = Endpoint(address: host) {
            guard family == .any || endpoint.isIPv6 == (family == .v6) else {
                return .failure(SystemText("an address of the other family"))
            }
            return .success(endpoint)
        }
        var hints = unsafe addrinfo()
        unsafe hints.ai_family = family == .any ? AF_UNSPEC : family == .v6 ? AF_INET6 : AF_INET
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let status = unsafe getaddrinfo(host, nil, &hints, &found)
        guard status == 0, let first = unsafe found else {
            return .failure(SystemText(unsafe String(cString: gai_strerror(status))))
        }
        defer { unsafe freeaddrinfo(first) }
        var name = [CChar](repeating: 0, count: 1_025)
        let named = unsafe getnameinfo(
            first.pointee.ai_addr, first.pointee.ai_addrlen, &name, socklen_t(name.count), nil, 0, NI_NUMERICHOST)
        let text = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard named == 0, let endpoint = Endpoint(address: text) else {
            return .failure(SystemText("an address that cannot be read"))
        }
        return .success(endpoint)
    }

    struct SystemText: Error, CustomStringConvertible {
        var description: String
        init(_ description: String) { self.description = description }
    }
}
