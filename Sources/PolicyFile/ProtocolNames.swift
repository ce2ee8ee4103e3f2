// SPDX-License-Identifier: GPL-3.0-or-later

/// Names of IP protocols (IANA, Assigned Internet Protocol Numbers) that rules may use instead of numbers.
enum ProtocolNames {
    static let all: [(name: String, number: UInt8)] = [
        ("icmp", 1), ("igmp", 2), ("ggp", 3), ("ipip", 4), ("st", 5), ("tcp", 6), ("egp", 8), ("igp", 9), ("pup", 12),
        ("udp", 17), ("idp", 22), ("rdp", 27), ("dccp", 33), ("ipv6", 41), ("rsvp", 46), ("gre", 47), ("esp", 50),
        ("ah", 51), ("icmpv6", 58), ("nd", 77), ("eigrp", 88), ("ospf", 89), ("etherip", 97), ("encap", 98),
        ("pim", 103), ("ipcomp", 108), ("vrrp", 112), ("l2tp", 115), ("isis", 124), ("fc", 133), ("sctp", 132),
        ("mobility", 135), ("udplite", 136), ("mpls-in-ip", 137), ("hip", 139), ("shim6", 140), ("wesp", 141),
        ("rohc", 142), ("ethernet", 143), ("raw", 255),
    ]

    static func number(of name: String) -> UInt8? { all.first { $0.name == name }?.number }
    static func name(of number: UInt8) -> String? { all.first { $0.number == number }?.name }
}

/// Names of ICMP and ICMPv6 types (IANA; RFC 792, 950, 1256, 4443, 4861, 2710, 3810, 8335) that rules may use instead of
/// numbers. Where a number has several names the first is the one printed.
enum ICMPTypeNames {
    static let v4: [(name: String, number: UInt8)] = [
        ("echo-reply", 0), ("destination-unreachable", 3), ("source-quench", 4), ("redirect", 5), ("echo-request", 8),
        ("router-advertisement", 9), ("router-solicitation", 10), ("time-exceeded", 11), ("parameter-problem", 12),
        ("timestamp-request", 13), ("timestamp-reply", 14), ("information-request", 15), ("information-reply", 16),
        ("address-mask-request", 17), ("address-mask-reply", 18), ("extended-echo-request", 42),
        ("extended-echo-reply", 43),
    ]

    static let v6: [(name: String, number: UInt8)] = [
        ("destination-unreachable", 1), ("packet-too-big", 2), ("time-exceeded", 3), ("parameter-problem", 4),
        ("echo-request", 128), ("echo-reply", 129), ("multicast-listener-query", 130),
        ("multicast-listener-report", 131), ("multicast-listener-done", 132), ("router-solicitation", 133),
        ("router-advertisement", 134), ("neighbour-solicitation", 135), ("neighbour-advertisement", 136),
        ("neighbor-solicitation", 135), ("neighbor-advertisement", 136), ("redirect", 137),
        ("multicast-listener-report-v2", 143), ("extended-echo-request", 160), ("extended-echo-reply", 161),
    ]
}
