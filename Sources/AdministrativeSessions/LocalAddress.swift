// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
package import PacketWire

/// One address of an interface that is up.
package struct LocalAddress {
    package let interface: String
    package let address: IPAddress
    package let isIPv6: Bool
    package let isLoopback: Bool
    package let carriesMulticast: Bool

    /// Those of this network namespace (getifaddrs).
    package static func all() -> [LocalAddress] {
        var found: [LocalAddress] = []
        var first: UnsafeMutablePointer<ifaddrs>?
        guard unsafe getifaddrs(&first) == 0 else { return found }
        defer { unsafe freeifaddrs(first) }
        var next = unsafe first
        while let entry = unsafe next {
            if let address = unsafe LocalAddress(entry.pointee) { found.append(address) }
            unsafe next = entry.pointee.ifa_next
        }
        return found
    }

    private init?(_ entry: ifaddrs) {
        let flags = unsafe entry.ifa_flags
        guard flags & UInt32(IFF_UP) != 0, let name = unsafe entry.ifa_name, let pointer = unsafe entry.ifa_addr
        else { return nil }
        interface = unsafe String(cString: name)
        isLoopback = flags & UInt32(IFF_LOOPBACK) != 0
        carriesMulticast = flags & UInt32(IFF_MULTICAST) != 0
        switch Int32(unsafe pointer.pointee.sa_family) {
        case AF_INET:
            let bits = unsafe UnsafeRawPointer(pointer).loadUnaligned(as: sockaddr_in.self).sin_addr.s_addr
            address = IPAddress(v4: UInt32(bigEndian: bits))
            isIPv6 = false
        case AF_INET6:
            let raw = unsafe UnsafeRawPointer(pointer).loadUnaligned(as: sockaddr_in6.self).sin6_addr
            address = unsafe withUnsafeBytes(of: raw) { bytes in
                unsafe IPAddress(
                    high: UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
                    low: UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
            }
            isIPv6 = true
        default: return nil
        }
    }
}
