// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import Glibc
import KernelRules
import PacketWire

/// The kernel's routes (rtnetlink(7)), and whether they have changed.
struct RouteSocket: ~Copyable {
    private enum Message {
        static let error: UInt16 = 2
        static let done: UInt16 = 3
        static let newRoute: UInt16 = 24
        static let getRoute: UInt16 = 26
        static let headerBytes = 16
    }
    private enum Flag {
        static let requestOfAll: UInt16 = 0x301
        static let interrupted: UInt16 = 0x10
    }
    /// RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_ROUTE: routes go with their link without a word.
    private static let groups: UInt32 = 0x1 | 0x10 | 0x40 | 0x400
    /// More than a full table of the Internet needs.
    private static let mostRoutes = 4_000_000

    private let changes: Int32
    private let questions: Int32

    /// Nil without descriptors or memory, or where netlink is forbidden.
    init?() {
        let kind = Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        changes = socket(Int32(AF_NETLINK), kind, 0)
        questions = socket(Int32(AF_NETLINK), kind, 0)
        // `struct sockaddr_nl`: family and padding, port, groups.
        let address: [UInt32] = [UInt32(UInt16(AF_NETLINK)).littleEndian, 0, Self.groups]
        let isBound = unsafe address.withUnsafeBytes { bytes in
            unsafe bind(changes, bytes.assumingMemoryBound(to: sockaddr.self).baseAddress, socklen_t(bytes.count)) == 0
        }
        guard changes >= 0, questions >= 0, isBound else { return nil }
        var patience = timeval(tv_sec: 2, tv_usec: 0)
        unsafe setsockopt(questions, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit {
        close(changes)
        close(questions)
    }

    /// Whether anything has changed since it was asked before.
    func hasChanged() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        var isNews = false
        while true {
            let count = unsafe recv(changes, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            // ENOBUFS: there was more than the socket could hold.
            guard count > 0 || errno == ENOBUFS || errno == EINTR else { return isNews }
            isNews = true
        }
    }

    /// All routes that lead out by an interface; nil where the kernel does not tell, or they changed meanwhile.
    func routes() -> [ReversePaths.Route]? {
        // Length, type, flags, sequence, port; then `struct rtmsg`, of any family.
        var request = [UInt8](repeating: 0, count: Message.headerBytes + RouteMessage.headerBytes)
        request[0] = UInt8(request.count)
        request[4] = UInt8(Message.getRoute)
        request[6] = UInt8(Flag.requestOfAll & 0xff)
        request[7] = UInt8(Flag.requestOfAll >> 8)
        guard unsafe send(questions, request, request.count, 0) == request.count else { return nil }
        var routes: [ReversePaths.Route] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while routes.count < Self.mostRoutes {
            let count = unsafe recv(questions, &buffer, buffer.count, 0)
            if count < 0, errno == EINTR { continue }
            guard count > 0, let isLast = read(buffer[..<count], &routes) else { return nil }
            if isLast { return routes }
        }
        return nil
    }

    /// Returns whether it was the last of the listing; nil where it cannot be used.
    private func read(_ bytes: ArraySlice<UInt8>, _ routes: inout [ReversePaths.Route]) -> Bool? {
        var rest = bytes
        while rest.count >= Message.headerBytes {
            let length = Int(rest.native32(at: 0))
            guard length >= Message.headerBytes, length <= rest.count else { return nil }
            if rest.native16(at: 6) & Flag.interrupted != 0 { return nil }
            switch rest.native16(at: 4) {
            case Message.done: return true
            case Message.error: return nil
            case Message.newRoute:
                routes += RouteMessage(rest.prefix(length).dropFirst(Message.headerBytes)).routes
            default: break
            }
            rest = rest.dropFirst((length + 3) & ~3)
        }
        return false
    }
}

/// One route as the kernel tells it: `struct rtmsg` and its attributes.
private struct RouteMessage {
    static let headerBytes = 12

    private enum Attribute {
        static let destination: UInt16 = 1
        static let outInterface: UInt16 = 4
        static let multipath: UInt16 = 9
        static let table: UInt16 = 15
    }
    private static let unicast: UInt8 = 1
    /// `struct rtnexthop`: length, flags and hops, interface.
    private static let nextHopBytes = 8

    let header: ArraySlice<UInt8>
    let attributes: [NetlinkAttribute]

    init(_ bytes: ArraySlice<UInt8>) {
        header = bytes.prefix(Self.headerBytes)
        attributes = NetlinkAttribute.all(in: bytes.dropFirst(Self.headerBytes))
    }

    /// One for each way that it has; none of what is no way out, such as a local or a blackhole route.
    var routes: [ReversePaths.Route] {
        guard header.count == Self.headerBytes, header[header.startIndex + 7] == Self.unicast, let network else {
            return []
        }
        let table = attributes[type: Attribute.table]?.value.native32(at: 0) ?? UInt32(header[header.startIndex + 4])
        return interfaces.map {
            ReversePaths.Route(table: table, first: network.first, last: network.last, interface: $0)
        }
    }

    private var interfaces: [UInt32] {
        var found = attributes[type: Attribute.outInterface].map { [$0.value.native32(at: 0)] } ?? []
        var rest = attributes[type: Attribute.multipath]?.value ?? []
        while rest.count >= Self.nextHopBytes {
            let length = Int(rest.native16(at: 0))
            guard length >= Self.nextHopBytes, length <= rest.count else { break }
            found.append(rest.native32(at: 4))
            rest = rest.dropFirst((length + 3) & ~3)
        }
        return found
    }

    private var network: (first: IPAddress, last: IPAddress)? {
        let isIPv4 = header.first == UInt8(AF_INET)
        guard isIPv4 || header.first == UInt8(AF_INET6) else { return nil }
        let bytes = Array(attributes[type: Attribute.destination]?.value ?? [])
        let whole = bytes + [UInt8](repeating: 0, count: max(0, (isIPv4 ? 4 : 16) - bytes.count))
        let bits = Int(header[header.startIndex + 1]) + (isIPv4 ? 96 : 0)
        guard bits <= 128 else { return nil }
        let number = whole.prefix(isIPv4 ? 4 : 16).reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
        let address = isIPv4 ? 0xffff << 32 | number : number
        let host = bits == 0 ? UInt128.max : (UInt128(1) << UInt128(128 - bits)) - 1
        return (IPAddress(address & ~host), IPAddress(address | host))
    }
}

extension IPAddress {
    fileprivate init(_ bits: UInt128) {
        self.init(high: UInt64(truncatingIfNeeded: bits >> 64), low: UInt64(truncatingIfNeeded: bits))
    }
}
