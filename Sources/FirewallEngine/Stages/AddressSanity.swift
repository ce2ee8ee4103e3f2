// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire

/// Which addresses no packet may carry (stage V). Sets: reference to Deep Security's engine, section 4.6.
enum AddressSanity {
    /// Whether no IPv4 packet may come from there: multicast, limited broadcast (RFC 1122 section 3.2.1.3), or loopback
    /// outside a loopback interface.
    static func refusesIPv4Source(_ bits: UInt32, onLoopback: Bool) -> Bool {
        bits >> 28 == 0xe || bits == .max || (bits >> 24 == 127 && !onLoopback)
    }

    /// 240.0.0.0/4 (RFC 1112 section 4), which Linux routes and some clouds use, without the limited broadcast.
    static func isReservedIPv4(_ bits: UInt32) -> Bool { bits >> 28 == 0xf && bits != .max }

    /// 169.254.0.0/16 (RFC 3927) and fe80::/10 (RFC 4291 section 2.5.6).
    static func isLinkLocal(_ a: IPAddress) -> Bool {
        a.high >> 54 == 0xfe80 >> 6 || (a.isMappedV4 && a.v4 >> 16 == 0xa9fe)
    }

    /// ff02::/16 (RFC 4291 section 2.7) and 224.0.0.0/24 (RFC 5771 section 4): no router passes on what goes there.
    static func isLinkGroup(_ a: IPAddress) -> Bool {
        a.high >> 48 == 0xff02 || (a.isMappedV4 && a.v4 >> 8 == 0xe0_0000)
    }

    /// The refused sets in which an IPv6 address stands, each by its setting. The unspecified address is in none of these: it
    /// is Null IP's.
    @inline(__always)
    static func refusedSets(_ a: IPAddress, _ s: SanitySettings) -> CauseSet {
        var sets = CauseSet()
        if a == .zero || isNAT64(a) { return sets }
        if s.denyBogon, isBogon(a) { sets.insert(.ipv6Bogon) }
        if s.denyReserved, isReserved(a) { sets.insert(.ipv6Reserved) }
        if s.denySiteLocal, a.high >> 54 == 0xfec0 >> 6 { sets.insert(.ipv6SiteLocal) }
        if s.deny6to4Bogon, is6to4Bogon(a) { sets.insert(.ipv6SixToFour) }
        return sets
    }

    /// What `refusedSets` may say, in the order in which they are named.
    static let causes: [Cause] = [.ipv6Bogon, .ipv6Reserved, .ipv6SiteLocal, .ipv6SixToFour]

    /// 64:ff9b::/96 (RFC 6052) and 64:ff9b:1::/48 (RFC 8215) lie in 0000::/8 and are in daily use.
    private static func isNAT64(_ a: IPAddress) -> Bool {
        (a.high == 0x0064_ff9b_0000_0000 && a.low >> 32 == 0) || a.high >> 16 == 0x0064_ff9b_0001
    }

    /// Everything outside 2000::/3, fc00::/7, fe00::/7 and ff00::/8.
    private static func isReserved(_ a: IPAddress) -> Bool {
        let first = a.high >> 56
        return first < 0x20 || (first >= 0x40 && first <= 0xfb)
    }

    /// ::1, ::/96, ::ffff:0:0/96, 0200::/7, 3ffe::/16, 2001:db8::/32.
    private static func isBogon(_ a: IPAddress) -> Bool {
        (a.high == 0 && (a.low >> 32 == 0 || a.low >> 32 == 0xffff))
            || a.high >> 57 == 0x01
            || a.high >> 48 == 0x3ffe
            || a.high >> 32 == 0x2001_0db8
    }

    /// 6to4 addresses (RFC 3056) whose embedded IPv4 address cannot be a router's.
    private static func is6to4Bogon(_ a: IPAddress) -> Bool {
        guard a.high >> 48 == 0x2002 else { return false }
        let v4 = UInt32(truncatingIfNeeded: a.high >> 16)
        switch v4 >> 24 {
        case 0x0a: return true
        case 0xac: return v4 >> 20 == 0xac1
        case 0xc0: return v4 >> 16 == 0xc0a8
        case 0xe0...0xef: return true
        // These three are /24 in the table: 2002:7f00::/24 is all of 127/8.
        case 0x00, 0x7f, 0xff: return true
        default: return false
        }
    }
}
