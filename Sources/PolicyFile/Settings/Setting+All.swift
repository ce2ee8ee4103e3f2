// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy
import PacketWire

extension Setting {
    /// Every setting of POLICY.md in its order, without `version`, `lists`, `schedules` and `rules`.
    static let all: [Setting] = [
        Setting("mode", \.mode, .words(["inline": .inline, "tap": .tap])),
        .section(
            "failure",
            [
                Setting("engine", \.failure.engine, .failureMode),
                Setting("sanity", \.failure.sanity, .failureMode),
            ]),
        .section(
            "interfaces",
            [
                Setting("ignore", \.interfaces.ignore, .interfaces),
                Setting("inside", \.interfaces.inside, .interfaces),
            ]),
        .section("stateful", stateful),
        .section("engine", engine),
        .section(
            "reconnaissance",
            [
                .section(
                    "detect",
                    [
                        Setting("port-scan", \.reconnaissance.detectsPortScan, .flag),
                        Setting("os-fingerprint", \.reconnaissance.detectsOSFingerprint, .flag),
                        Setting("null-scan", \.reconnaissance.detectsNullScan, .flag),
                        Setting("synfin-scan", \.reconnaissance.detectsSYNFINScan, .flag),
                        Setting("xmas-scan", \.reconnaissance.detectsXmasScan, .flag),
                    ]),
                .ignoredScanners,
                Setting("block", \.reconnaissance.block, .time(.seconds(1) ... .hours(30 * 24), or: "off")),
            ]),
        .section(
            "default",
            [
                Setting("incoming", \.unmatched.incoming, .unmatched),
                Setting("outgoing", \.unmatched.outgoing, .unmatched),
                Setting("reply", \.unmatched.reply, Reply.form),
            ]),
        .section("events", events),
        .section("queue", queue),
        .section("metrics", [Setting("listen", \.metrics.listen, .loopbackEndpoint)]),
    ]

    private static let stateful: [Setting] = [
        .section("ip", [Setting("fragments", \.stateful.fragmentsDenied, .denial)]),
        .section(
            "tcp",
            [
                Setting("enabled", \.stateful.tcpEnabled, .flag),
                Setting("log", \.stateful.tcpLog, .flag),
                Setting("congestion-flags", \.stateful.congestionFlagsDenied, .denial),
                .section(
                    "limits",
                    [
                        Setting("incoming-per-computer", \.stateful.limits.incoming, .connections),
                        Setting("outgoing-per-computer", \.stateful.limits.outgoing, .connections),
                        Setting("half-open-per-computer", \.stateful.limits.halfOpen, .connections),
                        Setting("half-open", \.stateful.limits.halfOpenInAll, .connections),
                    ]),
                .section(
                    "syn-flood",
                    [
                        Setting("cookies", \.stateful.synFlood.usesCookies, .words(["off": false, "on": true])),
                        Setting(
                            "threshold", \.stateful.synFlood.threshold,
                            .number(1...1_000_000, of: "half-open connections")),
                    ]),
                .section(
                    "ack-storm",
                    [
                        Setting(
                            "threshold", \.stateful.ackStorm.threshold,
                            .number(3...1_000_000, of: "acknowledgements", or: "off")),
                        Setting("drop-connection", \.stateful.ackStorm.dropsConnection, .flag),
                    ]),
            ]),
        .section(
            "udp",
            [
                Setting("enabled", \.stateful.udpEnabled, .flag),
                Setting("log", \.stateful.udpLog, .flag),
                Setting("admit", \.stateful.udpAdmit, .admission),
            ]),
        .section(
            "icmp",
            [
                Setting("enabled", \.stateful.icmpEnabled, .flag),
                Setting("log", \.stateful.icmpLog, .flag),
                Setting("admit", \.stateful.icmpAdmit, .admission),
            ]),
        .section(
            "ftp",
            [
                Setting("control-ports", \.stateful.ftp.controlPorts, .controlPorts),
                Setting("incoming-active", \.stateful.ftp.admitsIncomingActive, .flag),
                Setting("outgoing-active", \.stateful.ftp.admitsOutgoingActive, .flag),
                Setting("incoming-passive", \.stateful.ftp.admitsIncomingPassive, .flag),
                Setting("outgoing-passive", \.stateful.ftp.admitsOutgoingPassive, .flag),
            ]),
    ]

    private static let engine: [Setting] = [
        .section(
            "built-in-rules",
            [
                Setting(
                    "dhcp-dns", \.engine.dhcpAndDNS, .words(["client": .client, "dns-only": .dnsOnly, "off": .off])),
                Setting("path-mtu", \.engine.pathMTU, .flag),
            ]),
        .section("timeouts", timeouts),
        .section(
            "limits",
            [
                Setting("tcp", \.engine.limits.tcp, .entries),
                Setting("udp", \.engine.limits.udp, .entries),
                Setting("icmp", \.engine.limits.icmp, .entries),
                Setting(
                    "fragmented-datagrams", \.engine.limits.fragmentedDatagrams,
                    .number(1...1_000_000, of: "datagrams")),
                Setting("memory", \.engine.limits.memory, .size((4 << 20)...(1 << 44), or: "off")),
            ]),
        .section("sanity", sanity),
        .antiEvasion,
        Setting("fast-path", \.engine.fastPath, .words(["off": .off, "auto": .auto, "on": .on])),
    ]

    private static let timeouts: [Setting] = [
        Setting("syn-sent", \.engine.timeouts.synSent, .timeout),
        Setting("syn-received", \.engine.timeouts.synReceived, .timeout),
        Setting("established", \.engine.timeouts.established, .timeout),
        Setting("fin-wait-1", \.engine.timeouts.finWait1, .timeout),
        Setting("fin-wait-2", \.engine.timeouts.finWait2, .timeout),
        Setting("close-wait", \.engine.timeouts.closeWait, .timeout),
        Setting("closing", \.engine.timeouts.closing, .timeoutOrNone),
        Setting("last-ack", \.engine.timeouts.lastACK, .timeout),
        Setting("time-wait", \.engine.timeouts.timeWait, .timeoutOrNone),
        Setting("closed", \.engine.timeouts.closed, .timeoutOrNone),
        Setting("error", \.engine.timeouts.error, .timeoutOrNone),
        Setting("udp", \.engine.timeouts.udp, .timeout),
        Setting("udp-stream", \.engine.timeouts.udpStream, .timeout),
        Setting("icmp", \.engine.timeouts.icmp, .timeout),
        Setting("fragment", \.engine.timeouts.fragment, .timeout),
        Setting("fragment-hold", \.engine.timeouts.fragmentHold, .time(.zero ... .seconds(60))),
        Setting("boot-start", \.engine.timeouts.bootStart, .timeoutOrNone),
        Setting("cold-start", \.engine.timeouts.coldStart, .timeoutOrNone),
        Setting("ack-storm", \.engine.timeouts.ackStorm, .time(.milliseconds(1) ... .seconds(60))),
    ]

    private static let sanity: [Setting] = [
        Setting("allow-null-ip", \.engine.sanity.allowNullIP, .flag),
        Setting("block-ipv6", \.engine.sanity.blockIPv6, .flag),
        Setting("block-same-source-destination", \.engine.sanity.blockSameSourceDestination, .flag),
        Setting("drop-zero-payload", \.engine.sanity.dropZeroPayload, .flag),
        Setting("verify-tcp-checksum", \.engine.sanity.verifyTCPChecksum, .flag),
        Setting("minimum-fragment-size", \.engine.sanity.minimumFragmentSize, .number(0...65_535, of: "bytes")),
        Setting("minimum-fragment-offset", \.engine.sanity.minimumFragmentOffset, .number(0...65_535, of: "bytes")),
        .section(
            "ipv6",
            [
                Setting("routing-header-0", \.engine.sanity.denyRoutingHeader0, .denial),
                Setting("reserved", \.engine.sanity.denyReserved, .denial),
                Setting("bogon", \.engine.sanity.denyBogon, .denial),
                Setting("site-local", \.engine.sanity.denySiteLocal, .denial),
                Setting("6to4-bogon", \.engine.sanity.deny6to4Bogon, .denial),
                Setting("small-fragments", \.engine.sanity.denySmallFragments, .denial),
            ]),
        Setting("reserved-addresses", \.engine.sanity.denyReservedAddresses, .denial),
        Setting("df-fragments", \.engine.sanity.denyDFFragments, .denial),
        Setting("source-routing", \.engine.sanity.denySourceRouting, .denial),
        Setting("record-route", \.engine.sanity.denyRecordRoute, .denial),
        Setting("own-source", \.engine.sanity.denyOwnSource, .denial),
        Setting("link-local", \.engine.sanity.denyLinkLocal, .denial),
        Setting("reverse-path", \.engine.sanity.denyReversePath, .denial),
        Setting("broadcast-source", \.engine.sanity.denyBroadcastSource, .denial),
    ]

    private static let events: [Setting] = [
        .section(
            "file",
            [
                Setting("path", \.events.path, .absolutePath),
                Setting("format", \.events.format, .eventFormat),
                .section(
                    "rotate",
                    [
                        Setting("size", \.events.rotation.size, .size((1 << 20)...(1 << 40), or: "off")),
                        Setting("keep", \.events.rotation.keep, .number(1...999, of: "files")),
                    ]),
                Setting("budget", \.events.budget, .budget),
            ]),
        Setting("syslog", \.events.syslog, .syslog),
        Setting("capture", \.events.capture, .capture),
        Setting("fold", \.events.fold, .time(.zero ... .hours(1))),
        Setting("ignore", \.events.ignore, .reasons),
        Setting("new-connections", \.events.newConnections, .trackedProtocols),
        Setting("closed-connections", \.events.closedConnections, .trackedProtocols),
    ]

    private static let queue: [Setting] = [
        Setting("numbers", \.queue.numbers, .queueNumbers),
        Setting("flood-numbers", \.queue.floodNumbers, .floodNumbers),
        Setting("family", \.queue.family, .words(["ip": .ip, "bridge": .bridge])),
        Setting("length", \.queue.length, .number(1...16_777_216, of: "packets")),
        Setting("copy-bytes", \.queue.copy, .copyRange),
        Setting("busy-poll", \.queue.busyPoll, .time(.microseconds(1) ... .seconds(1), or: "off")),
        Setting("mark-mask", \.queue.markMask, .markMask),
    ]
}

extension ValueForm where Value == FailureMode {
    fileprivate static let failureMode = ValueForm.words(["closed": .closed, "open": .open])
}

extension ValueForm where Value == UnmatchedDecision {
    fileprivate static let unmatched = ValueForm.words(
        ["by-rules": .byRules, "allow": .allow, "deny": .deny],
        advice: ["drop": "write deny", "reject": "write deny", "accept": "write allow", "pass": "write allow"])
}

extension ValueForm where Value == Bool {
    /// `deny` is true.
    fileprivate static let denial = ValueForm.words(["allow": false, "deny": true])
}

extension ValueForm where Value == Admission {
    fileprivate static let admission = ValueForm.words(["force-allow": .forceAllow, "allow": .allow])
}

extension ValueForm where Value == UInt32? {
    fileprivate static let connections = number(1...10_000_000, of: "connections", or: "unlimited")
}

extension ValueForm where Value == UInt32 {
    fileprivate static let entries = number(1...16_777_216, of: "connections")
}
