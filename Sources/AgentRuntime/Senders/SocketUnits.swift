// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import Glibc
import KernelRules
import Locking
import PacketWire

/// The unit whose socket a packet came from, found after its verdict: by the socket of its addresses (sock_diag(7)) and the number of
/// that socket's control group. A socket that is gone by then has none.
///
/// It is asked on the thread that writes events, once for each record, and so often a second at most: no packet waits for it.
final class SocketUnits: Sendable {
    private struct State: ~Copyable {
        var socket: DiagnosticSocket?
        var units: [UInt64: String] = [:]
        /// Control groups that are no unit's: that of the kernel's first processes, and those of containers without systemd.
        var others: Set<UInt64> = []
        var readAt = Instant(nanoseconds: 0)
        /// Questions that may be asked yet in this second.
        var left = SocketUnits.mostPerSecond
        var second: Int64 = 0
    }

    private static let mostPerSecond = 500
    /// A control group that is not known may be a new one: all are read again, so often.
    private static let readEvery = Instant.Span.milliseconds(100)
    private static let mostOthers = 1_000

    private let state = Guarded(State(socket: DiagnosticSocket()))

    func unit(of event: Event) -> String? {
        let now = Clocks.monotonic()
        return state.withLock { state in
            let second = now.nanoseconds / 1_000_000_000
            if second != state.second { (state.second, state.left) = (second, Self.mostPerSecond) }
            guard state.left > 0 else { return nil }
            state.left -= 1
            guard let group = state.socket?.controlGroup(of: event.headers) else { return nil }
            if state.units[group] == nil, !state.others.contains(group), now - state.readAt >= Self.readEvery {
                state.units = ControlGroups().unitsByNumber()
                state.readAt = now
                if state.others.count == Self.mostOthers { state.others.removeAll() }
                if state.units[group] == nil { state.others.insert(group) }
            }
            return state.units[group]
        }
    }
}

/// A socket of NETLINK_SOCK_DIAG.
private struct DiagnosticSocket: ~Copyable {
    private let descriptor: Int32

    /// SOCK_DIAG_BY_FAMILY, and NLMSG_ERROR.
    private static let byFamily: UInt16 = 20
    private static let headerBytes = 16
    /// `struct inet_diag_msg`, after which the attributes come, and INET_DIAG_CGROUP_ID among them.
    private static let messageBytes = 72
    private static let controlGroup: UInt16 = 21

    init?() {
        // NETLINK_SOCK_DIAG
        descriptor = socket(Int32(AF_NETLINK), Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 4)
        guard descriptor >= 0 else { return nil }
        var patience = timeval(tv_sec: 0, tv_usec: 200_000)
        unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    /// The number of the control group of the socket that has sent a packet; nil where there is none, or none any more.
    func controlGroup(of headers: PacketHeaders) -> UInt64? {
        let isTCP = headers.transport == .tcp
        guard isTCP || headers.transport == .udp else { return nil }
        let request = Self.request(headers, isTCP: isTCP)
        guard unsafe send(descriptor, request, request.count, 0) == request.count else { return nil }
        var answer = [UInt8](repeating: 0, count: 4_096)
        let count = unsafe recv(descriptor, &answer, answer.count, 0)
        let bytes = answer.prefix(max(0, count))
        guard bytes.count > Self.headerBytes + Self.messageBytes, bytes.native16(at: 4) == Self.byFamily else {
            return nil
        }
        let attributes = NetlinkAttribute.all(in: bytes.dropFirst(Self.headerBytes + Self.messageBytes))
        guard let value = attributes[type: Self.controlGroup]?.value, value.count >= 8 else { return nil }
        return UInt64(value.native32(at: 0)) | UInt64(value.native32(at: 4)) << 32
    }

    /// `struct inet_diag_req_v2`: of UDP the kernel takes the ends the other way round (udp_dump_one).
    private static func request(_ headers: PacketHeaders, isTCP: Bool) -> [UInt8] {
        let isIPv6 = headers.network == .ipv6
        let own = (address: bytes(of: headers.source, isIPv6), port: headers.sourcePort)
        let other = (address: bytes(of: headers.destination, isIPv6), port: headers.destinationPort)
        let (first, second) = isTCP ? (own, other) : (other, own)
        var body: [UInt8] = [UInt8(isIPv6 ? AF_INET6 : AF_INET), isTCP ? 6 : 17, 0, 0]
        body += [0xff, 0xff, 0xff, 0xff]
        body += [UInt8(first.port >> 8), UInt8(first.port & 0xff), UInt8(second.port >> 8), UInt8(second.port & 0xff)]
        body += first.address + second.address
        // Any interface, and no cookie.
        body += [0, 0, 0, 0] + [UInt8](repeating: 0xff, count: 8)
        var message: [UInt8] = []
        message.appendNative(UInt32(headerBytes + body.count))
        message.appendNative(byFamily)
        message.appendNative(UInt16(1))
        message += [UInt8](repeating: 0, count: 8)
        return message + body
    }

    private static func bytes(of address: IPAddress, _ isIPv6: Bool) -> [UInt8] {
        func inOrder(_ number: UInt64) -> [UInt8] {
            (0..<8).map { UInt8(truncatingIfNeeded: number >> UInt64(56 - 8 * $0)) }
        }
        guard isIPv6 else { return inOrder(address.low).suffix(4) + [UInt8](repeating: 0, count: 12) }
        return inOrder(address.high) + inOrder(address.low)
    }
}

extension [UInt8] {
    /// In the order of this machine.
    fileprivate mutating func appendNative<Value: FixedWidthInteger>(_ value: Value) {
        self += unsafe Swift.withUnsafeBytes(of: value) { unsafe Array($0) }
    }
}
