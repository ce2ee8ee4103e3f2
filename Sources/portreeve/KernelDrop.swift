// SPDX-License-Identifier: GPL-3.0-or-later

/// One line of the kernel's tracepoint skb:kfree_skb: a packet that was thrown away, where and why. It does not say whose packet.
struct KernelDrop: Hashable {
    /// The task in whose context it happened, as the kernel names it.
    let task: String
    let etherType: UInt16
    /// The function, without its offset.
    let function: String
    /// The kernel's word, such as NO_SOCKET.
    let reason: String

    /// nil for a line of another event, or of another kernel's form:
    /// `queue 0-812 [001] ..s1. 12.345678: kfree_skb: skbaddr=… rx_sk=… protocol=2048 location=tcp_v4_rcv+0x1f/0xe0 reason: NO_SOCKET`.
    init?(_ line: String) {
        guard let event = line.split(separator: ": kfree_skb: ", maxSplits: 1).last, event.count < line.count,
            let number = Self.value(of: "protocol=", in: event).flatMap({ UInt16($0) }),
            let place = Self.value(of: "location=", in: event),
            let reason = event.split(separator: " reason: ", maxSplits: 1).last, reason.count < event.count,
            let bracket = line.firstIndex(of: "["), let dash = line[..<bracket].lastIndex(of: "-")
        else { return nil }
        task = line[..<dash].drop { $0 == " " }.description
        etherType = number
        function = place.prefix { $0 != "+" }.description
        self.reason = reason.prefix { !$0.isWhitespace }.description
    }

    private static func value(of name: String, in text: Substring) -> Substring? {
        text.split(separator: " ").first { $0.hasPrefix(name) }?.dropFirst(name.count)
    }

    /// What the word means, where it is one of those that an administrator meets.
    var meaning: String? {
        switch reason {
        case "NO_SOCKET": "no socket listens at that port"
        case "IP_RPFILTER": "the kernel's reverse path filter (net.ipv4.conf.*.rp_filter)"
        case "TCP_CSUM", "UDP_CSUM", "IP_CSUM", "ICMP_CSUM", "SKB_CSUM": "a checksum is wrong"
        case "SOCKET_RCVBUFF": "the socket's receive buffer is full"
        case "SOCKET_BACKLOG": "the socket's backlog is full: its program is too slow"
        case "PROTO_MEM": "the memory of the protocol is used up (net.ipv4.tcp_mem, udp_mem)"
        case "TCP_LISTEN_OVERFLOW": "the listener's queue of connections is full"
        case "SOCKET_FILTER": "a filter that is attached to the socket"
        case "NETFILTER_DROP": "another rule of the packet filter"
        case "XFRM_POLICY": "an IPsec policy"
        case "OTHERHOST": "its link address is another host's"
        case "IP_NOPROTO": "nobody takes that protocol"
        case "IP_INNOROUTES", "IP_OUTNOROUTES": "there is no route"
        case "NEIGH_FAILED", "NEIGH_CREATEFAIL", "NEIGH_QUEUEFULL": "the next hop does not answer for its link address"
        case "QDISC_DROP", "QDISC_OVERLIMIT", "FULL_RING": "a queue of the device is full"
        case "TCP_MD5NOTFOUND", "TCP_MD5UNEXPECTED", "TCP_MD5FAILURE": "its MD5 signature"
        case "SECURITY_HOOK", "BPF_CGROUP_EGRESS": "a security module, or a program of a control group"
        case "PKT_TOO_BIG": "it is larger than the MTU"
        default: nil
        }
    }

    /// Whether it can have been a packet of this protocol, by the function that threw it away.
    func mayBe(_ protocolNumber: UInt8) -> Bool {
        let others: [(prefix: String, number: UInt8)] = [
            ("tcp", 6), ("udp", 17), ("__udp", 17), ("icmp", 1), ("igmp", 2),
        ]
        guard let known = others.first(where: { function.hasPrefix($0.prefix) }) else { return true }
        return known.number == protocolNumber || known.number == 1 && protocolNumber == 58
    }

    /// Whether a worker of the agent was at it: the kernel goes on with a packet in the thread that gives its verdict.
    var isOfWorker: Bool { task.hasPrefix("queue ") }
}
