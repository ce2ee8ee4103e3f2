// SPDX-License-Identifier: GPL-3.0-or-later

extension Setting {
    /// What each setting does, by its full name, in words that stand in an editor beside the key and in the manual page.
    static let summaries: [String: String] = [
        "mode": "inline drops; tap decides and records everything, and drops nothing.",
        "failure.engine": """
        When the agent cannot decide: it is not there, its queue or a table is full, its own trouble (stage E). closed drops \
        the packet, open passes it.
        """,
        "failure.sanity": """
        Packets that make no sense (stages V, F and T). closed drops them, open passes them; the event is written in both.
        """,
        "interfaces.ignore": "Interfaces whose packets pass untouched: names, or globs such as \"veth*\".",
        "interfaces.inside": "A router's inner interfaces; forwarded packets are judged only when there is one.",
    ]
    .merging(stateful) { first, _ in first }
    .merging(timeouts) { first, _ in first }
    .merging(engine) { first, _ in first }
    .merging(antiEvasionRows) { first, _ in first }
    .merging(surroundings) { first, _ in first }

    private static let stateful = [
        "stateful.ip.fragments": "deny drops every fragment (Fragmented).",
        "stateful.tcp.enabled": "Check TCP packets against the state of their connection.",
        "stateful.tcp.log": "Write events of these checks; false counts their drops only.",
        "stateful.tcp.congestion-flags": "deny drops TCP packets with CWR or ECE (CE Flags).",
        "stateful.tcp.limits.incoming-per-computer": "Connections that one other computer may have open to this host.",
        "stateful.tcp.limits.outgoing-per-computer": "Connections that this host may have open to one other computer.",
        "stateful.tcp.limits.half-open-per-computer": "Unfinished handshakes with one other computer.",
        "stateful.tcp.limits.half-open": "Unfinished handshakes that computers began with this host, all together.",
        "stateful.tcp.syn-flood.cookies":
            "Keep no entry for SYNs to a flooded listener; this host's own SYN cookies answer them.",
        "stateful.tcp.syn-flood.threshold":
            "Unfinished handshakes with a listener, for each worker, from which on it counts as flooded.",
        "stateful.tcp.ack-storm.threshold": """
        The most equal ACKs of one side in a row that answer nothing; more are an ACK storm (Maximum ACK Retransmit).
        """,
        "stateful.tcp.ack-storm.drop-connection": "Drop the connection of an ACK storm, not only the ACKs.",
        "stateful.udp.enabled": "Check datagrams against what this host has sent.",
        "stateful.udp.log": "Write events of this check; false counts its drops only.",
        "stateful.udp.admit": """
        What admits an incoming datagram that nobody asked for: force-allow, a rule of that action only; allow, whatever the \
        rules let pass.
        """,
        "stateful.icmp.enabled": "Check ICMP messages against what this host has sent.",
        "stateful.icmp.log": "Write events of this check; false counts its drops only.",
        "stateful.icmp.admit": "As stateful.udp.admit, for ICMP.",
        "stateful.ftp.control-ports": "Ports whose connections are read as FTP control connections.",
        "stateful.ftp.incoming-active": "Admit the data connections of active transfers with this host as server.",
        "stateful.ftp.outgoing-active": "Admit the data connections of active transfers with this host as client.",
        "stateful.ftp.incoming-passive": "Admit the data connections of passive transfers with this host as server.",
        "stateful.ftp.outgoing-passive": "Admit the data connections of passive transfers with this host as client.",
    ]

    private static let timeouts = [
        "syn-sent": "A connection whose SYN has no answer yet.",
        "syn-received": "A connection whose SYN was answered and not yet acknowledged.",
        "established": "An open connection without a packet.",
        "fin-wait-1": "A connection whose opener has sent a FIN that is not acknowledged.",
        "fin-wait-2": "A connection whose opener has sent a FIN that is acknowledged.",
        "close-wait": "A connection whose responder has sent a FIN.",
        "closing": "A connection with a FIN of both sides, neither acknowledged.",
        "last-ack": "A connection that lacks the acknowledgement of the last FIN.",
        "time-wait": "A connection that both sides have closed.",
        "closed": "A connection after a RST.",
        "error": "A refused connection, after its last packet: so long each packet carries the first reason.",
        "udp": "An exchange of datagrams until the first answer, and a question that was answered.",
        "udp-stream": "An exchange of datagrams that goes on after the first answer.",
        "icmp": "A request that waits for its answer.",
        "fragment": "A datagram whose fragments are not all there.",
        "fragment-hold": "A fragment that came before the first one of its datagram.",
        "boot-start": "After the kernel booted: so long connections older than the agent are admitted.",
        "cold-start": """
        After the agent began, or began to track what a policy or a rule's schedule left untracked: so long TCP connections \
        older than that are admitted.
        """,
        "ack-storm": "Equal ACKs that are further apart are not in a row.",
    ].named(under: "engine.timeouts")

    private static let engine = [
        "built-in-rules.dhcp-dns": """
        Rules of the agent's own, force-allow at priority 4: client admits DHCP and DNS queries of this host, dns-only the \
        latter, off nothing.
        """,
        "built-in-rules.path-mtu":
            "The same for ICMP's Fragmentation Needed and ICMPv6's Packet Too Big about known exchanges.",
        "limits.tcp": """
        TCP connections in the table. A reload may change this, udp and icmp; together they may exceed what they were at the \
        agent's start only after a restart. What is open stays open, also above a lower limit.
        """,
        "limits.udp": "Exchanges of datagrams in the table.",
        "limits.icmp": "ICMP requests in the table.",
        "limits.fragmented-datagrams": """
        Fragmented datagrams at one time; each queue has an equal share, at least one. A change needs a restart.
        """,
        "limits.memory": """
        The most memory that the tables of all workers take together. Beyond it the oldest of what can be spared gives way, and \
        an opening that finds no place is Out of Memory.
        """,
        "sanity.allow-null-ip":
            "Pass packets from or to the address 0.0.0.0 or ::, as DHCP and address detection need it.",
        "sanity.block-ipv6": "Drop all IPv6.",
        "sanity.block-same-source-destination":
            "Drop packets whose source is their destination (LAND), except on loopback.",
        "sanity.drop-zero-payload": "Drop UDP and ICMP packets without a payload where one belongs.",
        "sanity.verify-tcp-checksum": "Drop TCP packets whose checksum is wrong.",
        "sanity.minimum-fragment-size": "Bytes that a first fragment has at least; 0 is off.",
        "sanity.minimum-fragment-offset": "Bytes that the offset of a later fragment has at least; 0 is off.",
        "sanity.ipv6.routing-header-0": "Packets with a type 0 routing header (RFC 5095).",
        "sanity.ipv6.reserved": "Packets from or to reserved addresses.",
        "sanity.ipv6.bogon": "Packets from or to addresses that nobody may use on the Internet.",
        "sanity.ipv6.site-local": "Packets from or to the abolished site-local addresses (RFC 3879).",
        "sanity.ipv6.6to4-bogon": "6to4 addresses around an IPv4 address that is private or impossible.",
        "sanity.ipv6.small-fragments": "Fragments that are smaller than the smallest IPv6 packet and not the last.",
        "sanity.reserved-addresses": "Packets from or to 240.0.0.0/4, which some clouds use (Invalid IP).",
        "sanity.df-fragments": "IPv4 fragments with Don't Fragment set, as RFC 6864 allows (Invalid Fragment Offset).",
        "sanity.source-routing": "IPv4 packets with a loose or strict source route option.",
        "sanity.record-route": "IPv4 packets with a record route option.",
        "sanity.own-source": "Packets from outside whose source is an address of this host.",
        "sanity.link-local": """
        Packets from or to 169.254.0.0/16 and fe80::/10 (a cloud's metadata among them), except neighbour discovery, MLD, \
        DHCPv6, and what this host itself sends to groups of the link.
        """,
        "sanity.reverse-path": """
        Packets whose source no route leads to by the interface that they came in on, by any table of routes as it was within \
        the last second. An interface that no route names is not judged.
        """,
        "sanity.broadcast-source": "Packets whose source is the broadcast address of a network that this host is in.",
        "fast-path": """
        auto, on: plain segments of established TCP connections (held against the same windows), datagrams and echoes pass in the \
        kernel, by a program \
        that portreeve iptables --apply loads. It sees neither checksums nor the outgoing interface. Where the kernel takes no \
        program, auto leaves all packets in the queue, and on refuses to apply the rules. Flows of rules with offload: true \
        pass by it too, without windows.
        """,
        "anti-evasion": """
        What happens to packets that are made to be understood differently here than at their destination. normal and \
        strict set all rows; a mapping starts from normal, or from its posture, and sets single rows.
        """,
    ].named(under: "engine")

    private static let antiEvasionRows = [
        "posture": "The rows that are not named here.",
        "invalid-timestamps": "A TCP time stamp older than the last (PAWS, RFC 7323 section 5).",
        "paws-zero": "A TCP time stamp of zero.",
        "fragments": "Every fragment.",
        "zero-flags": "TCP without any flag.",
        "congestion-flags": "TCP with CWR or ECE.",
        "urgent-flags": "TCP with URG.",
        "syn-fin": "TCP with SYN and FIN.",
        "syn-rst": "TCP with SYN and RST.",
        "rst-fin": "TCP with RST and FIN.",
        "syn-data": "A SYN with data.",
        "split-handshake": "A SYN answered by a SYN alone (RFC 9293 section 3.5).",
        "rst-out-of-connection": "A RST of no known connection.",
        "fin-out-of-connection": "A FIN of no known connection.",
        "outgoing-out-of-connection": "Another outgoing packet of no known connection.",
        "evasive-retransmit": "A retransmission whose data differ from what was sent first.",
        "tcp-auth-option":
            "An MD5 or authentication option on a segment whose SYN had none, or the reverse, or options in which it cannot be found.",
        "checksum": "TCP with a wrong checksum.",
        "paws-window": "How far back a time stamp may go and still be taken for reordering.",
    ].named(under: "engine.anti-evasion")

    private static let surroundings = [
        "reconnaissance.detect.port-scan":
            "Report an address that tries many ports or addresses of which most refuse it.",
        "reconnaissance.detect.os-fingerprint": "Report packets by which an operating system is told from others.",
        "reconnaissance.detect.null-scan": "Report TCP packets without a flag.",
        "reconnaissance.detect.synfin-scan": "Report TCP packets with SYN and FIN only.",
        "reconnaissance.detect.xmas-scan": "Report TCP packets with FIN, PSH and URG only, or with all flags.",
        "reconnaissance.ignore":
            "Lists or addresses of which no scan is reported, such as the monitoring; { not: ... } reports of these alone.",
        "reconnaissance.block": """
        How long everything from a scanner is dropped. Only of one that has proved that it has its address: whose connections \
        to three ports or more were established and brought no data.
        """,
        "default.incoming": """
        What becomes of incoming packets that no rule decides about: by-rules refuses them once an Allow rule of the direction \
        exists (Out Of Allowed Policy); deny, as if one existed; allow passes them also beside Allow rules. The checks of \
        state and sanity are the same in all three.
        """,
        "default.outgoing": "The same for outgoing packets.",
        "default.reply": """
        How a packet that no rule admits is answered, in both directions, as reply of a deny rule says it of what that rule \
        refuses: none, not at all; reset, by a TCP reset (what is not TCP: as unreachable); unreachable, by ICMP port \
        unreachable; prohibited, by ICMP administratively prohibited. Never longer than the packet, at most 1,000 a second.
        """,
        "events.file.path": """
        Where the events go. The packaged unit may write below /var/log/portreeve only: another place needs a drop-in with \
        ReadWritePaths=.
        """,
        "events.file.format":
            "json writes JSON lines with the keys of Suricata's EVE log; cef ArcSight's Common Event Format; leef QRadar's LEEF 2.0; "
            + "ecs JSON lines of the Elastic Common Schema; ocsf those of OCSF 1.5. portreeve's own commands read json only.",
        "events.file.rotate.size": """
        The size at which the file ends: it is renamed to PATH.1, the one before to PATH.2 and so on. off leaves that to others, \
        such as logrotate.
        """,
        "events.file.rotate.keep": """
        How many files stay beside the one that is written, compressed ones too. What is older is removed at the next rotation by \
        size.
        """,
        "events.file.budget": """
        How much may be written in a time, such as 20MiB/1m. A reason that takes half of what the others leave is merged until the \
        time is over: one record for each action, direction and rule, with exact counts. off is without a bound.
        """,
        "events.syslog":
            """
        Receivers of events beside the file, by RFC 5424: one, or a sequence of at most eight. target is a Unix socket such as \
        /dev/log, udp://HOST:514, tcp://HOST:601 or tls://HOST:6514, HOST a name or an address. format is as in events.file, cef \
        by default; facility local0; severity by-event; app-name portreeve; message-size 8192 bytes; byte-order-mark false; \
        budget as in events.file. spool: 64MiB keeps on disk what the receiver does not take. tls: { ca: FILE, certificate: \
        FILE, key: FILE, name: HOST } says whom to trust (by default whom the system trusts), who this host is, and for whom the \
        receiver's certificate has to be (by default the target's host). docs/outputs.md says more.
        """,
        "events.capture":
            """
        Writes packets that are refused to { path: FILE }, in pcapng, each with its reason, rule and policy line as its comment. \
        A file ends at size, 64MiB by default, and is renamed to PATH.1; there are files of them, 4 by default; budget is as in \
        events.file. docs/outputs.md says more.
        """,
        "events.fold": "Equal events within this time become one with a count; 0 folds nothing.",
        "events.ignore": "Reasons that are counted and not written.",
        "events.new-connections":
            "A notice (142) for each connection that is opened, of these protocols: off, or some of [tcp, udp, icmp].",
        "events.closed-connections":
            "A notice (916) for each that ends: how, packets and bytes each way, how long it was. off, or some of [tcp, udp, icmp].",
        "queue.numbers":
            "The kernel's queue, or a range such as \"0-3\" with one worker each. A change needs a restart.",
        "queue.flood-numbers":
            """
        Where what can be sent in floods has queues of its own: three ranges of the size of queue.numbers, for openings of TCP \
        connections, fragments, and datagrams of computers to which this host has sent none of late. auto is behind \
        queue.numbers, a number is the first of them, off has everything in queue.numbers. A change needs a restart, and the \
        rules to be applied again.
        """,
        "queue.family": "ip, or bridge for the frames of a bridge. A change needs a restart.",
        "queue.length": "Packets that may wait in the kernel, for each queue. A change needs a restart.",
        "queue.copy-bytes": "How much of each packet the agent gets to see. A change needs a restart.",
        "queue.busy-poll":
            "How long a worker looks for packets before it sleeps: lower latency for CPU time. A change needs a restart.",
        "queue.mark-mask": "The bits of packet and connection marks that are Portreeve's. A change needs a restart.",
        "metrics.listen": "A loopback address and port for metrics, such as 127.0.0.1:9470.",
    ]
}

extension [String: String] {
    fileprivate func named(under section: String) -> [String: String] {
        [String: String](uniqueKeysWithValues: map { ("\(section).\($0.key)", $0.value) })
    }
}
