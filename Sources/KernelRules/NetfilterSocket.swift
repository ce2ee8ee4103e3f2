// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// Asks nfnetlink about nf_tables. It takes CAP_NET_ADMIN, and no program.
struct NetfilterSocket: ~Copyable {
    enum Failure: Error, Equatable {
        /// errno of the kernel's answer.
        case refused(Int32)
        /// The rules changed while they were listed.
        case interrupted
    }

    struct Message {
        let type: UInt16
        let family: UInt8
        let attributes: [NetlinkAttribute]
    }

    /// NFNL_SUBSYS_NFTABLES and what is asked of it (linux/netfilter/nf_tables.h).
    enum Request: UInt16 {
        case chains = 4
        case rules = 7
        case generation = 16

        fileprivate var type: UInt16 { 10 << 8 | rawValue }
    }

    private enum Flag {
        static let request: UInt16 = 0x1
        static let dump: UInt16 = 0x300
        static let interrupted: UInt16 = 0x10
    }
    /// NLMSG_ERROR and NLMSG_DONE.
    private static let error: UInt16 = 2
    private static let done: UInt16 = 3
    private static let headerBytes = 16
    /// `struct nfgenmsg`.
    private static let generalBytes = 4
    /// More than this is no rule set that anybody could look through once in a while.
    private static let mostBytes = 64 << 20

    private let descriptor: Int32

    /// Nil without descriptors or memory, or where netlink is forbidden.
    init?() {
        // NETLINK_NETFILTER
        descriptor = socket(Int32(AF_NETLINK), Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 12)
        guard descriptor >= 0 else { return nil }
        var patience = timeval(tv_sec: 2, tv_usec: 0)
        unsafe setsockopt(
            descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { close(descriptor) }

    /// Changes with each change of any rule of this network namespace.
    func generation() throws(Failure) -> UInt32 {
        var found: UInt32 = 0
        try ask(.generation, isDump: false) { found = $0.attributes[type: 1]?.value.big32(at: 0) ?? 0 }
        return found
    }

    /// All chains, or all rules.
    func list(_ what: Request, _ body: (Message) -> Void) throws(Failure) { try ask(what, isDump: true, body) }

    private func ask(_ what: Request, isDump: Bool, _ body: (Message) -> Void) throws(Failure) {
        // Length, type, flags, sequence, port; then the family (none), the version, and nothing.
        var request: [UInt8] = []
        request.appendNative(UInt32(Self.headerBytes + Self.generalBytes))
        request.appendNative(what.type)
        request.appendNative(Flag.request | (isDump ? Flag.dump : 0))
        request += [UInt8](repeating: 0, count: 12)
        guard unsafe send(descriptor, request, request.count, 0) == request.count else { throw .refused(errno) }
        var total = 0
        while total < Self.mostBytes {
            let bytes = try receive()
            total += bytes.count
            if try read(bytes, body) || !isDump { return }
        }
        throw .interrupted
    }

    private func receive() throws(Failure) -> ArraySlice<UInt8> {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
            if count > 0 { return buffer[..<count] }
            if count < 0 && errno == EINTR { continue }
            throw .refused(count == 0 ? EIO : errno)
        }
    }

    /// Returns whether it was the last of a listing.
    private func read(_ bytes: ArraySlice<UInt8>, _ body: (Message) -> Void) throws(Failure) -> Bool {
        var rest = bytes
        while rest.count >= Self.headerBytes {
            let length = Int(rest.native32(at: 0))
            guard length >= Self.headerBytes, length <= rest.count else { break }
            let (type, flags) = (rest.native16(at: 4), rest.native16(at: 6))
            if flags & Flag.interrupted != 0 { throw .interrupted }
            if type == Self.done { return true }
            let payload = rest.prefix(length).dropFirst(Self.headerBytes)
            if type == Self.error { throw .refused(Int32(bitPattern: 0 &- payload.native32(at: 0))) }
            body(
                Message(
                    type: type & 0xff, family: payload.first ?? 0,
                    attributes: NetlinkAttribute.all(in: payload.dropFirst(Self.generalBytes))))
            rest = rest.dropFirst((length + 3) & ~3)
        }
        return false
    }
}

extension [UInt8] {
    /// In the order of this machine.
    fileprivate mutating func appendNative<Value: FixedWidthInteger>(_ value: Value) {
        append(contentsOf: unsafe Swift.withUnsafeBytes(of: value) { unsafe Array($0) })
    }
}
