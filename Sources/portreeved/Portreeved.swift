// SPDX-License-Identifier: GPL-3.0-or-later

import AgentRuntime
import ArgumentParser
import Glibc

/// The agent: reads its queues, judges each packet, gives the verdicts and writes the events, in the foreground.
@main
struct Portreeved: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "portreeved", abstract: "Judge the packets that iptables rules send to NFQUEUE.",
        discussion: """
            SIGHUP loads the policy again and reopens the events file, SIGTERM and SIGINT end the agent with every \
            packet settled. Without rules that feed its queues (portreeve iptables --apply) it sees no packet.
            """,
        version: AgentOptions().version)

    @Option(help: "The policy file; policy.d/*.yaml beside it are read after it.")
    var policy = AgentOptions().policyPath

    @Option(help: "Queue number, or a range such as 0-3, instead of the policy's queue.numbers.")
    var queue: QueueRange?

    @Option(help: "The control socket.")
    var control = AgentOptions().controlPath

    @Flag(help: "Check the policy and end: 0 if it is good.")
    var check = false

    func run() throws {
        var options = AgentOptions()
        options.policyPath = policy
        options.queues = queue?.numbers
        options.controlPath = control
        do {
            if check {
                try Agent.check(options)
            } else {
                try Agent.run(options)
            }
        } catch {
            Agent.report(error)
            throw ExitCode.failure
        }
    }
}

/// `0` or `0-3`.
struct QueueRange: ExpressibleByArgument {
    let numbers: ClosedRange<UInt16>

    init?(argument: String) {
        let parts = argument.split(separator: "-", omittingEmptySubsequences: false)
        guard let first = parts.first.flatMap({ UInt16($0) }), let last = parts.last.flatMap({ UInt16($0) }),
            parts.count <= 2, first <= last, last - first < 64
        else { return nil }
        numbers = first...last
    }
}
