// SPDX-License-Identifier: GPL-3.0-or-later

extension CauseRow {
    /// The single source of slug, setting and sentence of every cause, in the order of `Cause`.
    public static let all: [CauseRow] = [
        CauseRow(.none, "none", .nothing, "no cause is known"),
        CauseRow(.malformed, "malformed", .nothing, "the packet is nonsense by itself"),
        CauseRow(.headerChecksum, "header-checksum", .nothing, "the checksum of its IPv4 header is wrong"),
        CauseRow(.copyRange, "copy-range", "queue.copy-bytes", "the agent was given too little of the packet"),
        CauseRow(.invalidSource, "invalid-source", .nothing, "no packet may come from this source address"),
        CauseRow(
            .reservedAddress, "reserved-address", "engine.sanity.reserved-addresses",
            "the source or destination lies in 240.0.0.0/4"),
        CauseRow(
            .nullAddress, "null-address", "engine.sanity.allow-null-ip", "the source or destination is unspecified"),
        CauseRow(
            .sourceRoute, "source-route", "engine.sanity.source-routing", "its sender says by which routers it goes"),
        CauseRow(.recordRoute, "record-route", "engine.sanity.record-route", "it asks to have its route written down"),
        CauseRow(.linkLocal, "link-local", "engine.sanity.link-local", "the source or destination is link-local"),
        CauseRow(.ipv6Blocked, "ipv6-blocked", "engine.sanity.block-ipv6", "IPv6 is blocked"),
        CauseRow(
            .routingHeader0, "routing-header-0", "engine.sanity.ipv6.routing-header-0",
            "it has a routing header of type 0"),
        CauseRow(.multicastSource, "multicast-source", .nothing, "its source is a group"),
        CauseRow(.ipv6Reserved, "ipv6-reserved", "engine.sanity.ipv6.reserved", "an address lies in a reserved range"),
        CauseRow(.ipv6Bogon, "ipv6-bogon", "engine.sanity.ipv6.bogon", "an address is a bogon"),
        CauseRow(.ipv6SiteLocal, "ipv6-site-local", "engine.sanity.ipv6.site-local", "an address is site-local"),
        CauseRow(.ipv6SixToFour, "ipv6-6to4-bogon", "engine.sanity.ipv6.6to4-bogon", "an address is 6to4 of a bogon"),
        CauseRow(
            .sameAddresses, "same-addresses", "engine.sanity.block-same-source-destination",
            "source and destination are the same"),
        CauseRow(
            .ownSource, "own-source", "engine.sanity.own-source",
            "it came from outside, and its source is an address of this host"),
        CauseRow(
            .broadcastSource, "broadcast-source", "engine.sanity.broadcast-source",
            "its source is the broadcast address of a network"),
        CauseRow(
            .reversePath, "reverse-path", "engine.sanity.reverse-path",
            "no route leads to its source by the interface that it came in on"),
        CauseRow(.zeroPayload, "zero-payload", "engine.sanity.drop-zero-payload", "it has no payload"),
        CauseRow(
            .checksumSetting, "checksum-setting", "engine.sanity.verify-tcp-checksum", "its TCP checksum is wrong"),
        CauseRow(.checksumRow, "checksum-row", "engine.anti-evasion.checksum", "its TCP checksum is wrong"),
        CauseRow(.fragmentsSetting, "fragments-setting", "stateful.ip.fragments", "fragments are refused"),
        CauseRow(.fragmentsRow, "fragments-row", "engine.anti-evasion.fragments", "fragments are refused"),
        CauseRow(
            .fragmentFlags, "fragment-flags", "engine.sanity.df-fragments",
            "a fragment says that it must not be fragmented"),
        CauseRow(
            .fragmentLength, "fragment-length", .nothing, "it is not the last one and no multiple of eight bytes long"),
        CauseRow(
            .minimumFragmentSize, "minimum-fragment-size", "engine.sanity.minimum-fragment-size",
            "the first fragment is below the minimum"),
        CauseRow(.fragmentBeyondDatagram, "fragment-beyond-datagram", .nothing, "it ends beyond the longest datagram"),
        CauseRow(
            .minimumFragmentOffset, "minimum-fragment-offset", "engine.sanity.minimum-fragment-offset",
            "its offset is below the minimum"),
        CauseRow(.fragmentOverlap, "fragment-overlap", .nothing, "fragments of its datagram overlap"),
        CauseRow(
            .smallIPv6Fragment, "small-ipv6-fragment", "engine.sanity.ipv6.small-fragments",
            "an IPv6 fragment is below 1,280 bytes"),
        CauseRow(
            .fragmentHold, "fragment-hold", "engine.timeouts.fragment-hold", "its first fragment did not come in time"),
        CauseRow(
            .fragmentTimeout, "fragment-timeout", "engine.timeouts.fragment", "its datagram was not complete in time"),
        CauseRow(
            .datagramSuperseded, "datagram-superseded", .nothing, "another datagram has taken its identification"),
        CauseRow(.fragmentsHeld, "fragments-held", .nothing, "too many fragments wait for their first one"),
        CauseRow(
            .fragmentedDatagrams, "fragmented-datagrams", "engine.limits.fragmented-datagrams",
            "no more fragmented datagrams are followed"),
        CauseRow(
            .administratorBlock, "administrator-block", .nothing,
            "an administrator, or a program of his, has blocked the source (portreeve unblock)"),
        CauseRow(
            .scannerBlock, "scanner-block", .nothing,
            "the source has scanned this host, and is blocked for a while (portreeve unblock)"),
        CauseRow(.denyRule, "deny-rule", .rule, "a Deny rule matches"),
        CauseRow(.noAllowRule, "no-allow-rule", .rules, "no Allow or Force Allow rule matches"),
        CauseRow(.zeroFlagsRow, "zero-flags-row", "engine.anti-evasion.zero-flags", "no flag is set"),
        CauseRow(.synFinRow, "syn-fin-row", "engine.anti-evasion.syn-fin", "SYN and FIN are set"),
        CauseRow(.synRstRow, "syn-rst-row", "engine.anti-evasion.syn-rst", "SYN and RST are set"),
        CauseRow(.rstFinRow, "rst-fin-row", "engine.anti-evasion.rst-fin", "RST and FIN are set"),
        CauseRow(.synDataRow, "syn-data-row", "engine.anti-evasion.syn-data", "a SYN carries data without Fast Open"),
        CauseRow(.urgentRow, "urgent-row", "engine.anti-evasion.urgent-flags", "URG is set"),
        CauseRow(.congestionSetting, "congestion-setting", "stateful.tcp.congestion-flags", "a congestion flag is set"),
        CauseRow(.congestionRow, "congestion-row", "engine.anti-evasion.congestion-flags", "a congestion flag is set"),
        CauseRow(
            .splitHandshakeRow, "split-handshake-row", "engine.anti-evasion.split-handshake", "the handshake is split"),
        CauseRow(
            .invalidTimestampsRow, "invalid-timestamps-row", "engine.anti-evasion.invalid-timestamps",
            "its time stamp is older than PAWS allows"),
        CauseRow(
            .pawsZeroRow, "paws-zero-row", "engine.anti-evasion.paws-zero", "its time stamp is zero in mid-connection"),
        CauseRow(
            .rstOutOfConnectionRow, "rst-out-of-connection-row", "engine.anti-evasion.rst-out-of-connection",
            "no connection of this RST is known"),
        CauseRow(
            .finOutOfConnectionRow, "fin-out-of-connection-row", "engine.anti-evasion.fin-out-of-connection",
            "no connection of this FIN is known"),
        CauseRow(
            .outgoingOutOfConnectionRow, "outgoing-out-of-connection-row",
            "engine.anti-evasion.outgoing-out-of-connection", "no connection of this outgoing segment is known"),
        CauseRow(
            .coldStart, "cold-start", "engine.timeouts.cold-start",
            "no connection is known, and older ones are admitted no more"),
        CauseRow(.noConnection, "no-connection", .nothing, "no connection is known that it could belong to"),
        CauseRow(.noAcknowledgement, "no-ack", .nothing, "a segment after the SYN lacks ACK"),
        CauseRow(.belowReach, "below-reach", .nothing, "it lies further back than its sender may repeat"),
        CauseRow(.aboveCeiling, "above-ceiling", .nothing, "it ends beyond the window that the receiver offered"),
        CauseRow(.pastFIN, "past-fin", .nothing, "it lies past its sender's FIN"),
        CauseRow(.acknowledgesUnsent, "acknowledges-unsent", .nothing, "it acknowledges what was never sent"),
        CauseRow(
            .acknowledgesTooOld, "acknowledges-too-old", .nothing,
            "its acknowledgement is older than the largest window"),
        CauseRow(
            .selectivelyAcknowledgesUnsent, "selectively-acknowledges-unsent", .nothing,
            "it selectively acknowledges what was never sent"),
        CauseRow(.resetOutsideWindow, "reset-outside-window", .nothing, "the RST lies outside the window"),
        CauseRow(.outsideOpening, "outside-opening", .nothing, "its numbers are none of the opening under way"),
        CauseRow(.closedConnection, "closed-connection", .nothing, "its connection is closed"),
        CauseRow(.inconsistentEntry, "inconsistent-entry", .nothing, "the connection's entry contradicts itself"),
        CauseRow(
            .ftpIncomingActive, "ftp-incoming-active", "stateful.ftp.incoming-active",
            "the control connection is read, and the port it announces is none that may be announced"),
        CauseRow(
            .ftpOutgoingActive, "ftp-outgoing-active", "stateful.ftp.outgoing-active",
            "the control connection is read, and the port it announces is none that may be announced"),
        CauseRow(
            .ftpIncomingPassive, "ftp-incoming-passive", "stateful.ftp.incoming-passive",
            "the control connection is read, and the port it announces is none that may be announced"),
        CauseRow(
            .ftpOutgoingPassive, "ftp-outgoing-passive", "stateful.ftp.outgoing-passive",
            "the control connection is read, and the port it announces is none that may be announced"),
        CauseRow(
            .evasiveRetransmitRow, "evasive-retransmit-row", "engine.anti-evasion.evasive-retransmit",
            "it repeats bytes that were others when they were first seen"),
        CauseRow(
            .tcpAuthOptionRow, "tcp-auth-option-row", "engine.anti-evasion.tcp-auth-option",
            "it has an MD5 or authentication option that its SYN had not, or lacks it, or hides whether it has one"),
        CauseRow(
            .ackStorm, "ack-storm", "stateful.tcp.ack-storm.threshold",
            "its sender repeats an acknowledgement that answers nothing"),
        CauseRow(.synSentTimeout, timeout: "syn-sent"),
        CauseRow(.synReceivedTimeout, timeout: "syn-received"),
        CauseRow(.establishedTimeout, timeout: "established"),
        CauseRow(.finWait1Timeout, timeout: "fin-wait-1"),
        CauseRow(.finWait2Timeout, timeout: "fin-wait-2"),
        CauseRow(.closeWaitTimeout, timeout: "close-wait"),
        CauseRow(.closingTimeout, timeout: "closing"),
        CauseRow(.lastACKTimeout, timeout: "last-ack"),
        CauseRow(.timeWaitTimeout, timeout: "time-wait"),
        CauseRow(.closedTimeout, timeout: "closed"),
        CauseRow(.udpTimeout, timeout: "udp"),
        CauseRow(.udpStreamTimeout, timeout: "udp-stream"),
        CauseRow(.icmpTimeout, timeout: "icmp"),
        CauseRow(.udpAdmit, "udp-admit", "stateful.udp.admit", "only Force Allow admits an unsolicited datagram"),
        CauseRow(.icmpAdmit, "icmp-admit", "stateful.icmp.admit", "only Force Allow admits unsolicited ICMP"),
        CauseRow(
            .incomingPerComputer, "incoming-per-computer", "stateful.tcp.limits.incoming-per-computer",
            "the computer has its limit of incoming connections"),
        CauseRow(
            .outgoingPerComputer, "outgoing-per-computer", "stateful.tcp.limits.outgoing-per-computer",
            "the computer has its limit of outgoing connections"),
        CauseRow(
            .halfOpenPerComputer, "half-open-per-computer", "stateful.tcp.limits.half-open-per-computer",
            "the computer has its limit of half-open connections"),
        CauseRow(.tcpTable, "tcp-table", "engine.limits.tcp", "the TCP table is full"),
        CauseRow(.udpTable, "udp-table", "engine.limits.udp", "the UDP table is full"),
        CauseRow(.icmpTable, "icmp-table", "engine.limits.icmp", "the ICMP table is full"),
        CauseRow(
            .memoryLimit, "memory-limit", "engine.limits.memory", "the tables have all the memory that they may have"),
        CauseRow(
            .halfOpenInAll, "half-open", "stateful.tcp.limits.half-open",
            "as many connections are half-open as may be in all"),
        CauseRow(
            .ruleRate, "rule-rate", .rule,
            "its source has opened as many connections as the rate of the rule that admits them allows for now"),
    ]
}
