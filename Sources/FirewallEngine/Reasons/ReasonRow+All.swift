// SPDX-License-Identifier: GPL-3.0-or-later

extension ReasonRow {
    /// The single source of number, slug, name, sentence and advice. Numbers below 900 are those of Deep Security's engine;
    /// 117, 129, 140 and 144 stay reserved. In the order of `DropReason`.
    public static let all: [ReasonRow] = [
        ReasonRow(
            .logOnly, 20, "log-only", "Log Only Rule", .rules,
            raisedWhen: "a Log Only rule matched and the packet passed",
            seen: "queue", advice: ""),
        ReasonRow(
            .deny, 21, "deny", "Deny Rule", .rules,
            raisedWhen: "a Deny rule matched",
            seen: "queue", advice: "change the rule or add a Force Allow of higher or equal priority"),
        ReasonRow(
            .outOfConnection, 100, "out-of-connection", "Out Of Connection", .tracking,
            raisedWhen: "TCP, not an opening SYN, no connection known",
            seen: "queue",
            advice: "a session older than the table or idle past established: raise the timeout; one source "
                + "again and again: look at it"),
        ReasonRow(
            .invalidFlags, 101, "invalid-flags", "Invalid Flags", .tracking,
            raisedWhen: "flags are nonsense by themselves (none, SYN+FIN, SYN+RST, RST+FIN, SYN with data outside "
                + "Fast Open, URG per posture) or in this state (SYN+ACK from the opener, split handshake)",
            seen: "queue", advice: "look at the packet; scanners do this"),
        ReasonRow(
            .invalidSequence, 102, "invalid-sequence", "Invalid Sequence", .tracking,
            raisedWhen: "sequence number outside the receiver's window, more data than the window admits, RST "
                + "outside the window, time stamp older than PAWS allows",
            seen: "queue",
            advice: "capture both sides; a middlebox that rewrites sequence numbers is the usual benign cause"),
        ReasonRow(
            .invalidACK, 103, "invalid-ack", "Invalid ACK", .tracking,
            raisedWhen: "acknowledges what the peer never sent, or is older than the largest window "
                + "(what only repeats is late, and passes while the connection is active)",
            seen: "queue", advice: "as 102"),
        ReasonRow(
            .internalStatesError, 104, "internal-states-error", "Internal States Error", .tracking,
            raisedWhen: "the tracker met a state/packet pair it cannot place, or a connection entry failed its "
                + "own consistency check",
            seen: "queue",
            advice: "report it; TCP inspection can be switched off meanwhile"),
        ReasonRow(
            .ceFlags, 105, "ce-flags", "CE Flags", .tracking,
            raisedWhen: "CWR or ECE set and congestion-flags is deny (on a SYN of an ECN handshake too)",
            seen: "queue", advice: "allow congestion flags if ECN is wanted"),
        ReasonRow(
            .invalidIP, 106, "invalid-ip", "Invalid IP", .sanity,
            raisedWhen: "source is multicast, limited broadcast, or loopback on an interface that is not loopback; "
                + "source or destination in 240/4 except 255.255.255.255 (0.0.0.0 is 901)",
            seen: "queue", advice: "spoofed; find the sender"),
        ReasonRow(
            .invalidIPDatagramLength, 107, "invalid-ip-datagram-length", "Invalid IP Datagram Length", .sanity,
            raisedWhen: "fewer bytes than the IP header's length field says",
            seen: "guard", advice: "broken sender or truncated capture"),
        ReasonRow(
            .fragmented, 108, "fragmented", "Fragmented", .fragments,
            raisedWhen: "any fragment while fragments are refused",
            seen: "queue", advice: "allow fragments or fix the path MTU"),
        ReasonRow(
            .invalidFragmentOffset, 109, "invalid-fragment-offset", "Invalid Fragment Offset", .fragments,
            raisedWhen: "a non-last IPv6 fragment whose length is no multiple of 8; "
                + "where refused, DF together with MF or with a non-zero offset",
            seen: "queue", advice: "capture the traffic; a broken or hostile sender"),
        ReasonRow(
            .firstFragmentTooSmall, 110, "first-fragment-too-small", "First Fragment Too Small", .fragments,
            raisedWhen: "MF=1, offset 0, total length < minimum",
            seen: "queue", advice: "lower the minimum, or 0"),
        ReasonRow(
            .fragmentOutOfBounds, 111, "fragment-out-of-bounds", "Fragment Out Of Bounds", .fragments,
            raisedWhen: "offset + length > 65,535",
            seen: "queue", advice: "attack (ping of death)"),
        ReasonRow(
            .fragmentOffsetTooSmall, 112, "fragment-offset-too-small", "Fragment Offset Too Small", .fragments,
            raisedWhen: "non-zero offset below the minimum, in bytes",
            seen: "queue", advice: "lower the minimum, or 0"),
        ReasonRow(
            .ipv6Packet, 113, "ipv6-packet", "IPv6 Packet", .sanity,
            raisedWhen: "IPv6 while blocked",
            seen: "queue", advice: "set engine.sanity.block-ipv6: false to allow IPv6"),
        ReasonRow(
            .maxIncomingConnections, 114, "max-incoming-connections", "Max Incoming Connections", .connections,
            raisedWhen: "the SYN that would make limit + 1 concurrent incoming TCP connections from one remote "
                + "computer; established ones go on",
            seen: "queue",
            advice: "raise the limit or look at the source"),
        ReasonRow(
            .maxOutgoingConnections, 115, "max-outgoing-connections", "Max Outgoing Connections", .connections,
            raisedWhen: "the same, outgoing to one computer",
            seen: "queue",
            advice: "raise the limit, or look what on this host opens so many"),
        ReasonRow(
            .maxSYNSent, 116, "max-syn-sent", "Max SYN Sent", .connections,
            raisedWhen: "the SYN that would make limit + 1 half-open connections from one computer, or in all",
            seen: "queue",
            advice: "raise it with care: it protects against SYN floods"),
        ReasonRow(
            .ipVersionUnknown, 118, "ip-version-unknown", "IP Version Unknown", .sanity,
            raisedWhen: "an IP frame whose version is neither 4 nor 6",
            seen: "guard", advice: "capture the traffic, or ignore"),
        ReasonRow(
            .invalidPacketInfo, 119, "invalid-packet-info", "Invalid Packet Info", .agent,
            raisedWhen: "the kernel's metadata cannot be used (no packet, unknown hook, truncated below what a "
                + "check needs)",
            seen: "queue", advice: "raise copy-bytes; report it"),
        ReasonRow(
            .internalDriverError, 120, "internal-driver-error", "Internal Driver Error", .agent,
            raisedWhen: "the queue lost packets: netlink buffer or queue length exceeded, verdict refused; the "
                + "event carries the kernel's counters",
            seen: "queue", advice: "more queues, longer queue, faster disk, less load"),
        ReasonRow(
            .unsolicitedUDP, 121, "unsolicited-udp", "Unsolicited UDP", .unsolicited,
            raisedWhen: "incoming datagram, no matching earlier outgoing one within udp, no Force Allow (or "
                + "Allow, per admit)",
            seen: "queue", advice: "add a force-allow rule for the service"),
        ReasonRow(
            .unsolicitedICMP, 122, "unsolicited-icmp", "Unsolicited ICMP", .unsolicited,
            raisedWhen: "incoming ICMPv4 that answers nothing: reply without request, request without Force Allow; "
                + "an ICMP or ICMPv6 error or redirect whose quoted packet belongs to no connection (or not "
                + "plausibly: addresses, sequence, length), or is of a kind without connections that the rules refuse",
            seen: "queue", advice: "force-allow echo-request to answer ping"),
        ReasonRow(
            .outOfAllowedPolicy, 123, "out-of-allowed-policy", "Out Of Allowed Policy", .rules,
            raisedWhen: "Allow rules exist for the direction and none matches",
            seen: "queue", advice: "add an allow rule if the traffic is wanted"),
        ReasonRow(
            .invalidPortCommand, 124, "invalid-port-command", "Invalid Port Command", .tracking,
            raisedWhen: "FTP control channel, only while an ftp admission is true and until a 234 reply to AUTH: "
                + "a client's PORT/EPRT that is malformed, names another address than the client's, or a "
                + "port < 1024. A bad or foreign 227/229 opens nothing and passes, except that for 227 the "
                + "control peer's own address with that port is expected. Lines over 4,096 bytes are "
                + "skipped",
            seen: "queue", advice: "FTP bounce attempt or broken client: capture the traffic"),
        ReasonRow(
            .synCookieError, 125, "syn-cookie-error", "SYN Cookie Error", .tracking,
            raisedWhen: "while a listener is in cookie mode: an ACK that opened nothing because this host's own "
                + "check of its cookie refused it, as its RST says; the ACK itself passed",
            seen: "queue", advice: "may be ignored; many: still under flood"),
        ReasonRow(
            .invalidDataOffset, 126, "invalid-data-offset", "Invalid Data Offset", .sanity,
            raisedWhen: "TCP data offset beyond the bytes present",
            seen: "queue", advice: "check the data offset in a capture, case by case"),
        ReasonRow(
            .noIPHeader, 127, "no-ip-header", "No IP Header", .sanity,
            raisedWhen: "IP frame with no IP bytes",
            seen: "replay", advice: ""),
        ReasonRow(
            .unreadableEthernetHeader, 128, "unreadable-ethernet-header", "Unreadable Ethernet Header", .sanity,
            raisedWhen: "frame shorter than its Ethernet (or VLAN) header",
            seen: "replay", advice: "may be ignored"),
        ReasonRow(
            .sameSourceAndDestinationIP, 130, "same-source-and-destination-ip", "Same Source and Destination IP",
            .sanity,
            raisedWhen: "equal addresses, not on loopback",
            seen: "queue",
            advice: "LAND attack; bypass rules do not help"),
        ReasonRow(
            .invalidTCPHeaderLength, 131, "invalid-tcp-header-length", "Invalid TCP Header Length", .sanity,
            raisedWhen: "data offset < 5",
            seen: "queue", advice: ""),
        ReasonRow(
            .unreadableProtocolHeader, 132, "unreadable-protocol-header", "Unreadable Protocol Header", .sanity,
            raisedWhen: "too few bytes for the TCP, UDP, ICMP or ICMPv6 header",
            seen: "queue", advice: "capture the traffic, or ignore"),
        ReasonRow(
            .unreadableIPv4Header, 133, "unreadable-ipv4-header", "Unreadable IPv4 Header", .sanity,
            raisedWhen: "fewer than 20 bytes, header length beyond the bytes present, or total length < header "
                + "length",
            seen: "guard", advice: "make sure that the network carries readable IPv4"),
        ReasonRow(
            .unknownIPVersion, 134, "unknown-ip-version", "Unknown IP Version", .sanity,
            raisedWhen: "version 4 or 6, but the frame type says the other",
            seen: "guard", advice: "bypass rules do not help"),
        ReasonRow(
            .invalidAdapterConfiguration, 135, "invalid-adapter-configuration", "Invalid Adapter Configuration", .agent,
            raisedWhen: "the policy names an interface that does not exist (at load and when it disappears), a queue "
                + "number that no rule feeds (any more: rules were flushed), rules that no longer fit (NAT or conntrack "
                + "appeared), or forwarded traffic that nobody judges although the host forwards",
            seen: "queue", advice: "fix interfaces, or run portreeve iptables --check"),
        ReasonRow(
            .overlappingFragment, 136, "overlapping-fragment", "Overlapping Fragment", .fragments,
            raisedWhen: "overlaps a fragment of the same datagram (an exact duplicate, bytes included, is not an "
                + "overlap); the whole datagram is condemned. The record ends when the datagram is complete (exact "
                + "duplicates still pass for 1 s); an incomplete IPv4 record is discarded once 64 newer "
                + "datagrams of the same pair and protocol were seen (identifiers wrap)",
            seen: "queue", advice: "attack or broken stack: capture the traffic"),
        ReasonRow(
            .maximumACKRetransmit, 137, "maximum-ack-retransmit", "Maximum ACK Retransmit", .tracking,
            raisedWhen: "more equal pure ACKs (same sequence, acknowledgement, window, SACK blocks) in a row than "
                + "the threshold, each within ack-storm time, while the other side has no unacknowledged data and has sent "
                + "nothing that they answer; optionally the connection is closed",
            seen: "queue", advice: "raise the threshold if the peer is legitimate"),
        ReasonRow(
            .packetOnClosedConnection, 138, "packet-on-closed-connection", "Packet on Closed Connection", .tracking,
            raisedWhen: "packet for a connection that is closed but still remembered, other than a pure SYN "
                + "(which is judged as a new opening and may reopen it; until that is answered and acknowledged, of "
                + "its sender what belongs to the connection before, other than a RST that answers a challenge ACK and "
                + "the last ACK of a FIN). What was sent before the close passes, changing and renewing nothing",
            seen: "queue", advice: "may be ignored"),
        ReasonRow(
            .droppedRetransmit, 139, "dropped-retransmit", "Dropped Retransmit", .tracking,
            raisedWhen: "retransmitted bytes differ from those first seen. Note: prev-full, prev-part where they differ"
                + " from the segment that begins last before or with them, which holds all of them or not; "
                + "next-full, next-part where from one that follows, all of which they cover or not",
            seen: "queue",
            advice: "bypass the flow if a middlebox rewrites it"),
        ReasonRow(
            .outOfAllowedPolicyOpenPort, 141, "out-of-allowed-policy-open-port", "Out of Allowed Policy (Open Port)",
            .rules,
            raisedWhen: "as 123, and a local socket listens on that port (a socket snapshot at most 1 s old, "
                + "taken by another thread; never forwarded, never in replay)",
            seen: "queue", advice: "probably a missing rule"),
        ReasonRow(
            .newConnection, 142, "new-connection", "New Connection Initiated", .connections,
            raisedWhen: "a connection was opened, of a protocol in events.new-connections or by a rule that says log: "
                + "true; not a drop. The packet is the one that opened it",
            seen: "queue", advice: ""),
        ReasonRow(
            .invalidChecksum, 143, "invalid-checksum", "Invalid Checksum", .sanity,
            raisedWhen:
                "IPv4 header checksum wrong (note ip-header: the kernel discards it), or TCP checksum wrong and "
                + "refused (skipped where the kernel says it is not filled in yet)",
            seen: "queue, guard",
            advice: "capture on both sides; broken offload or corruption on the way"),
        ReasonRow(
            .ipZeroPayload, 145, "ip-zero-payload", "IP Zero Payload", .sanity,
            raisedWhen: "IP packet without payload (not a segmentation-offload packet whose length field is "
                + "legally 0)",
            seen: "queue", advice: "may be ignored"),
        ReasonRow(
            .ipv6SourceIsMulticast, 146, "ipv6-source-is-multicast", "IPv6 Source Is Multicast", .sanity,
            raisedWhen: "source in ff00::/8",
            seen: "guard", advice: ""),
        ReasonRow(
            .invalidIPv6Address, 147, "invalid-ipv6-address", "Invalid IPv6 Address", .sanity,
            raisedWhen: "source or destination in a refused set (reference 4.6, exemptions in POLICY.md); "
                + "loopback interface exempt",
            seen: "queue, guard", advice: ""),
        ReasonRow(
            .ipv6FragmentTooSmall, 148, "ipv6-fragment-too-small", "IPv6 Fragment Too Small", .fragments,
            raisedWhen: "non-last IPv6 fragment below 1,280 bytes (an atomic fragment, RFC 8021, is no fragment)",
            seen: "queue", advice: ""),
        ReasonRow(
            .invalidTransportHeaderLength, 149, "invalid-transport-header-length", "Invalid Transport Header Length",
            .sanity,
            raisedWhen: "UDP length < 8 or beyond the IP payload",
            seen: "queue", advice: ""),
        ReasonRow(
            .outOfMemory, 150, "out-of-memory", "Out of Memory", .agent,
            raisedWhen:
                "an opening that finds no place because the tables have all the memory that they may have, and nothing "
                + "in its worker's can be given up",
            seen: "queue", advice: "raise engine.limits.memory, or lower the limits of the tables"),
        ReasonRow(
            .maxTCPConnections, 151, "max-tcp-connections", "Max TCP Connections", .connections,
            raisedWhen: "TCP table full, nothing reclaimable",
            seen: "queue", advice: "raise the limit"),
        ReasonRow(
            .maxUDPConnections, 152, "max-udp-connections", "Max UDP Connections", .connections,
            raisedWhen: "UDP table full, nothing reclaimable (exchanges that came in give way)",
            seen: "queue", advice: "raise the limit"),
        ReasonRow(
            .invalidIPHeaderLength, 900, "invalid-ip-header-length", "Invalid IP Header Length", .sanity,
            raisedWhen: "IHL < 5",
            seen: "guard", advice: ""),
        ReasonRow(
            .nullIP, 901, "null-ip", "Null IP", .sanity,
            raisedWhen: "0.0.0.0 or :: as source or destination while refused (DHCP and neighbour discovery "
                + "exempt)",
            seen: "queue", advice: "allow null IP"),
        ReasonRow(
            .maxICMPConnections, 902, "max-icmp-connections", "Max ICMP Connections", .connections,
            raisedWhen: "ICMP table full, nothing reclaimable (exchanges that came in give way)",
            seen: "queue", advice: "raise the limit"),
        ReasonRow(
            .incompleteDatagram, 903, "incomplete-datagram", "Incomplete Datagram", .fragments,
            raisedWhen: "fragments held for their first one: it did not come within fragment-hold, or too many "
                + "are held",
            seen: "queue",
            advice: "loss on the way, or an attack with fragments"),
        ReasonRow(
            .ipv6RoutingHeader0, 904, "ipv6-routing-header-0", "IPv6 Routing Header 0", .sanity,
            raisedWhen: "routing header of type 0 (RFC 5095)",
            seen: "queue", advice: ""),
        ReasonRow(
            .unreadableIPv6Header, 905, "unreadable-ipv6-header", "Unreadable IPv6 Header", .sanity,
            raisedWhen: "fewer than 40 bytes, fewer than the payload length says, or payload length 0 and hop-by-hop "
                + "options without a jumbo payload",
            seen: "queue, guard", advice: ""),
        ReasonRow(
            .invalidExtensionChain, 906, "invalid-extension-chain", "Invalid Extension Chain", .sanity,
            raisedWhen: "IPv6 extension headers cut short, out of a legal order, or more than 16",
            seen: "queue", advice: ""),
        ReasonRow(
            .sourceRouted, 907, "source-routed", "Source Routed", .sanity,
            raisedWhen: "IPv4 loose or strict source route option, while refused",
            seen: "queue", advice: "nobody needs it: find the sender"),
        ReasonRow(
            .recordRoute, 908, "record-route", "Record Route", .sanity,
            raisedWhen: "IPv4 record route option, while refused",
            seen: "queue", advice: "ping -R and traceroutes that use it: allow record routes if they are wanted"),
        ReasonRow(
            .spoofedOwnAddress, 909, "spoofed-own-address", "Spoofed Own Address", .sanity,
            raisedWhen: "from outside, and its source is an address of this host, while refused (neighbour discovery "
                + "and copies of own group packets exempt)",
            seen: "queue", advice: "spoofed, or another computer has the address too: find the sender"),
        ReasonRow(
            .portScan, 910, "port-scan", "Network or Port Scan", .notice,
            raisedWhen:
                "a source tries many ports or addresses that it has not tried before, and most of that fails: four "
                + "times as many suspicious bins as harmless ones (docs/design.md, reconnaissance). Of one source once in five "
                + "minutes, as 911 to 914",
            seen: "queue",
            advice: "block the source (portreeve block), or put it on reconnaissance.ignore"),
        ReasonRow(
            .osFingerprint, 911, "os-fingerprint", "Computer OS Fingerprint Probe", .notice,
            raisedWhen: "two different probes of the kind nmap uses, from one source within ten seconds",
            seen: "queue", advice: "as 910"),
        ReasonRow(
            .nullScan, 912, "null-scan", "TCP Null Scan", .notice,
            raisedWhen: "TCP without any flag (the packet itself is Invalid Flags)",
            seen: "queue", advice: "as 910"),
        ReasonRow(
            .synfinScan, 913, "synfin-scan", "TCP SYNFIN Scan", .notice,
            raisedWhen: "SYN and FIN only (the packet itself is Invalid Flags)",
            seen: "queue", advice: "as 910"),
        ReasonRow(
            .xmasScan, 914, "xmas-scan", "TCP Xmas Scan", .notice,
            raisedWhen: "FIN, URG and PSH only, or all flags",
            seen: "queue", advice: "as 910"),
        ReasonRow(
            .blockedSource, 915, "blocked-source", "Blocked Source", .rules,
            raisedWhen:
                "a packet of a source that an administrator, a program of his or reconnaissance has blocked, before every rule and not "
                + "to be bypassed. Note: until when, by whom, and why",
            seen: "queue", advice: "wait, or portreeve unblock ADDRESS"),
        ReasonRow(
            .linkLocalAddress, 918, "link-local-address", "Link-Local Address", .sanity,
            raisedWhen: "source or destination in 169.254/16 or fe80::/10, while refused (neighbour discovery, MLD, "
                + "DHCPv6, and what this host sends to groups of the link exempt)",
            seen: "queue", advice: "allow link-local addresses where a service of the link or the cloud needs them"),
        ReasonRow(
            .reversePath, 919, "reverse-path", "Reverse Path", .sanity,
            raisedWhen: "the routes to the source leave by other interfaces, while refused (an interface that no route "
                + "names, DHCP and neighbour discovery exempt)",
            seen: "queue", advice: "spoofed, or routes are asymmetric: add the route back, or allow it"),
        ReasonRow(
            .broadcastSource, 920, "broadcast-source", "Broadcast Source", .sanity,
            raisedWhen: "source is the broadcast address of a network of this host, while refused",
            seen: "queue", advice: "spoofed; find the sender"),
        ReasonRow(
            .policyChanged, 921, "policy-changed", "Policy Changed", .notice,
            raisedWhen:
                "a reload put a policy in force, or nobody confirmed it and the one before is in force again: who "
                + "asked, and which packets are decided otherwise than before (also where none is)",
            seen: "queue", advice: "portreeve diff says all of it"),
        ReasonRow(
            .fallbackPolicy, 922, "fallback-policy", "Fallback Policy", .notice,
            raisedWhen: "started from the last policy that was in force, because the one on disk does not load, would "
                + "shut out an administrator who is connected, or was not confirmed",
            seen: "queue",
            advice: "mend the policy (portreeve check) and put it in force (portreeve reload)"),
        ReasonRow(
            .connectionClosed, 916, "connection-closed", "Connection Closed", .notice,
            raisedWhen:
                "a connection ended, of a protocol in events.closed-connections or of a rule that says log: true: "
                + "how, when it was opened, what each side has sent. Note: fin; reset by originator, reset by responder "
                + "(of an opening too); idle, with the timeout; policy (refused after a reload, or dropped for its "
                + "acknowledgements); evicted (made room for another); limit (given up for a limit of the tables); agent "
                + "(it stopped, and could not hand it over); replaced (opened anew on both sides)",
            seen: "queue", advice: ""),
        ReasonRow(
            .connectionRate, 917, "connection-rate", "Connection Rate Exceeded", .connections,
            raisedWhen:
                "an opening (TCP SYN, first datagram or echo request of an exchange) that a rule admits, from a source of "
                + "which that rule has admitted as many of late as its rate says",
            seen: "queue", advice: "raise the rate, or look at the source"),
    ]
}
