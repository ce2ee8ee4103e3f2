// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

/// IPv6 extension headers (RFC 8200 section 4), in the order of the calls: the builder puts them where it is told, also
/// where they are illegal.
extension PacketBuilder {
    /// Hop-by-hop options; a PadN that fills eight bytes unless `options` says otherwise (length 8n + 6).
    package func hopByHop(options: [UInt8] = ExtensionHeader.padding) -> PacketBuilder {
        extensionHeader(IPProtocol.hopByHop, body: options)
    }

    /// Destination options; a PadN that fills eight bytes unless `options` says otherwise (length 8n + 6).
    package func destinationOptions(_ options: [UInt8] = ExtensionHeader.padding) -> PacketBuilder {
        extensionHeader(IPProtocol.destinationOptions, body: options)
    }

    /// A routing header that carries `addresses`.
    package func routing(type: UInt8, segmentsLeft: UInt8, addresses: [IPAddress] = []) -> PacketBuilder {
        var body: [UInt8] = [type, segmentsLeft, 0, 0, 0, 0]
        for address in addresses { body.append(address, isIPv6: true) }
        return extensionHeader(IPProtocol.routing, body: body)
    }

    /// An authentication header (RFC 4302) with an integrity value of 12 bytes.
    package func authentication(spi: UInt32 = 1, sequence: UInt32 = 1) -> PacketBuilder {
        var body: [UInt8] = [0, 0]
        body.append(be: spi)
        body.append(be: sequence)
        body.append(contentsOf: [UInt8](repeating: 0xa5, count: 12))
        // Its length counts words and leaves out two.
        return with { $0.extensions.append(ExtensionHeader(IPProtocol.authentication, lengthField: 4, body: body)) }
    }

    /// Any extension header: `body` follows the next-header and length bytes. The length field counts eight bytes each
    /// beyond the first eight and is right unless `lengthField` says otherwise.
    package func extensionHeader(_ number: UInt8, body: [UInt8], lengthField: UInt8? = nil) -> PacketBuilder {
        let units = UInt8(truncatingIfNeeded: (body.count + 2 + 7) / 8 - 1)
        return with {
            $0.extensions.append(ExtensionHeader(number, lengthField: lengthField ?? units, body: body))
        }
    }

    /// Nothing after the extension headers: next header 59.
    package func noNextHeader() -> PacketBuilder { with { $0.transport = .opaque(IPProtocol.noNextHeader) } }

    /// Extension headers that every fragment repeats: up to the last hop-by-hop or routing header (RFC 8200 section 4.5).
    var perFragmentExtensions: [ExtensionHeader] {
        guard fragment != nil else { return extensions }
        let last = extensions.lastIndex { $0.number == IPProtocol.hopByHop || $0.number == IPProtocol.routing }
        return Array(extensions[..<(last.map { $0 + 1 } ?? 0)])
    }

    /// Extension headers that are divided together with the payload.
    var fragmentableExtensions: [ExtensionHeader] {
        Array(extensions[perFragmentExtensions.count...])
    }

    /// The next-header value of the IPv6 header.
    var firstNextHeader: UInt8 { perFragmentExtensions.first?.number ?? nextHeaderAfterExtensions }

    private var nextHeaderAfterExtensions: UInt8 {
        fragment == nil ? network.protocolNumber ?? upperProtocol : IPProtocol.fragment
    }

    private var firstFragmentableHeader: UInt8 {
        fragmentableExtensions.first?.number ?? network.protocolNumber ?? upperProtocol
    }

    /// Extension headers and payload after the IPv6 header.
    var ipv6Payload: [UInt8] {
        let upper = upperLayer
        let finalHeader = network.protocolNumber ?? upperProtocol
        guard let fragment else { return chain(extensions, then: finalHeader) + upper }
        let whole = chain(fragmentableExtensions, then: finalHeader) + upper
        var header: [UInt8] = [firstFragmentableHeader, 0]
        header.append(be: UInt16(truncatingIfNeeded: fragment.offset) & 0xfff8 | (fragment.more ? 1 : 0))
        header.append(be: network.identification)
        return chain(perFragmentExtensions, then: IPProtocol.fragment) + header + fragment.slice(of: whole)
    }

    private func chain(_ headers: [ExtensionHeader], then last: UInt8) -> [UInt8] {
        var bytes: [UInt8] = []
        for (index, header) in headers.enumerated() {
            bytes.append(index + 1 < headers.count ? headers[index + 1].number : last)
            bytes.append(header.lengthField)
            bytes.append(contentsOf: header.body)
        }
        return bytes
    }
}

/// One IPv6 extension header without its next-header byte.
package struct ExtensionHeader: Sendable {
    var number: UInt8
    var lengthField: UInt8
    var body: [UInt8]

    init(_ number: UInt8, lengthField: UInt8, body: [UInt8]) {
        self.number = number
        self.lengthField = lengthField
        self.body = body
    }

    /// PadN over six bytes.
    package static let padding: [UInt8] = [1, 4, 0, 0, 0, 0]
}
