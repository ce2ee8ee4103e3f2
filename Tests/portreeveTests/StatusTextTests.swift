// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import FirewallEngine
import FirewallPolicy
import Testing

@testable import portreeve

@Suite("The status on one screen")
struct StatusTextTests {
    private var report: StatusReport {
        var report = StatusReport(agent: AgentIdentity(version: "1.2.3", processIdentifier: 4711))
        report.uptimeSeconds = 90_061
        report.mode = .tap
        report.failure.engine = .open
        report.policy.files = ["/etc/portreeve/policy.yaml"]
        report.policy.epoch = 7
        report.policy.builtIn = ["DNS client", "path MTU"]
        report.policy.lastReloadError = "policy.yaml:3:7: error\n    x\n    ^"
        var queue = QueueStatus(number: 3)
        queue.packets = 1_234_567
        queue.kernelQueueDrops = 42
        queue.overflows = 1_700
        report.queues = [queue]
        for (reason, dropped) in [(DropReason.outOfConnection, UInt64(100)), (.nullIP, 7)] {
            var count = ReasonCount(reason: reason)
            count.dropped = dropped
            count.written = dropped - 1
            count.pending = 1
            report.reasons.append(count)
        }
        var output = OutputStatus(name: "file", format: "json", target: "/var/log/portreeve/events.jsonl")
        (output.written, output.pending, output.lost, output.records) = (1_105, 2, 3, 60)
        report.outputs = [output]
        report.hooks = [HookCount(hook: .input, packets: 90)]
        report.fragmentsVisible = false
        report.warnings = ["queue 3 is fed by no rule"]
        return report
    }

    @Test(
        "It says each fact",
        arguments: [
            "portreeved   1.2.3, process 4711, up 1 d 1 h",
            "mode         tap: decides and records, drops nothing; failure: engine open, sanity closed", "epoch 7",
            "perhaps, 1,700 times",
            "             /etc/portreeve/policy.yaml", "             built-in: DNS client, path MTU",
            "             the last reload was refused:",
            "               policy.yaml:3:7: error", "input 90; packets arrive reassembled", "1,234,567",
            "events       file /var/log/portreeve/events.jsonl (json): written 1,105, pending 2, lost 3; records 60",
            "100  out-of-connection      100       99        1         0     0",
            "     all                    107      105        2         0     0", "  queue 3 is fed by no rule",
        ])
    func facts(part: String) {
        let text = StatusText(report).lines.joined(separator: "\n")
        #expect(text.contains(part), "\(text)")
    }

    @Test("One queue, a drop-in file, three reasons and something to complain of fit a terminal's 24 lines")
    func oneScreen() {
        var report = report
        report.policy.lastReloadError = nil
        report.policy.files.append("/etc/portreeve/policy.d/10-web.yaml")
        report.reasons.append(ReasonCount(reason: .outOfAllowedPolicy))
        let protection = HostProtection(state: .protected, details: [])
        let lines = StatusText(report, protection).lines
        // The prompt takes the last one.
        #expect(lines.count < 24, "\(lines.joined(separator: "\n"))")
        #expect(report.reasons.count == 3 && report.queues.count == 1 && report.warnings.count == 1)
    }

    @Test("Long values fit 80 columns, and nothing of them is missing")
    func narrow() {
        var report = report
        report.policy.files = [
            "/etc/portreeve/policy.yaml", "/etc/portreeve/policy.d/50-administrators-of-the-branch.yaml",
        ]
        report.policy.takenBackIn = 55
        report.connections.tcpStates = ["SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "TIME-WAIT"].map {
            StateCount(state: $0, count: 123_456)
        }
        report.connections.tcp = 987_654
        var queue = QueueStatus(number: 15)
        (queue.packets, queue.passed, queue.dropped) = (98_765_432_109, 98_765_000_000, 432_109)
        report.queues.append(queue)
        report.warnings = [
            "the events file /var/log/portreeve/events.jsonl cannot be written: No space left on device; events wait in "
                + "memory, and are lost beyond 16 MiB"
        ]
        let detail =
            "packets that come in over the interface enp0s31f6 from 2001:db8:ffff:ffff::/64 are not judged, because "
            + "a rule before Portreeve's accepts them"
        let lines = StatusText(report, HostProtection(state: .partly, details: [detail]), width: 80).lines
        let text = lines.joined(separator: "\n")
        #expect(lines.allSatisfy { $0.count <= 80 }, "\(text)")
        let words = Set(text.split { $0 == " " || $0 == "\n" })
        for line in StatusText(report, HostProtection(state: .partly, details: [detail])).lines {
            for word in line.split(separator: " ") { #expect(words.contains(word), "\(word)\n\(text)") }
        }
    }

    @Test("An agent that has seen nothing yet says so")
    func fresh() {
        let lines = StatusText(StatusReport(agent: AgentIdentity(version: "1", processIdentifier: 1))).lines
        #expect(lines.contains("hooks        no packet yet"))
        #expect(lines.contains("             built-in: none"))
        #expect(lines.contains("no event yet"))
    }
}
