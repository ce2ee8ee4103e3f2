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

            The last policy in force is kept, whole. Where the one on the disk does not load, would shut out an \
            administrator who is connected over SSH, or was not confirmed (portreeve reload --confirm), a start takes the \
            kept one and says so.

            Examples:
              portreeved
                  As the service runs it.
              portreeved --check --policy policy.yaml
                  Is this a policy that it would take?
              portreeved --check-start
                  Which policy would a start have?

            Exit status:
              0   it was asked to end, or what was to be checked is good
              1   anything else
              64  wrong usage
              69  the service manager started it 5 times within a minute in vain: it is not to be started again by itself
            """,
        version: AgentOptions().version)

    @Option(
        help: "The policy file; policy.d/*.yaml beside it are read after it.",
        completion: .file(extensions: ["yaml", "yml"]))
    var policy = AgentOptions().policyPath

    @Option(help: "Queue number, or a range such as 0-3, instead of the policy's queue.numbers.")
    var queue: QueueRange?

    @Option(help: "The control socket.", completion: .file())
    var control = AgentOptions().controlPath

    @Option(
        help: ArgumentHelp(
            "Where the last policy in force is kept; /var/lib/portreeve, or beside the control socket where --control names another.",
            valueName: "directory"), completion: .directory)
    var state: String?

    @Flag(help: "Check the policy and end: 0 if it is good.")
    var check = false

    @Flag(help: "Say which policy a start would have, and end: 0 if there is one.")
    var checkStart = false

    @Flag(
        help:
            "Open the sockets of the frame guard for the agent that the service manager starts next, which may not, and end."
    )
    var handOverFrameSockets = false

    @Flag(
        help:
            "Offer the programs of the fast path, where it was loaded, to the agent that the service manager starts next, and end."
    )
    var handOverFastPath = false

    func run() throws {
        var options = AgentOptions()
        options.policyPath = policy
        options.queues = queue?.numbers
        options.controlPath = control
        options.stateDirectory = state
        do {
            if check {
                try Agent.check(options)
            } else if handOverFrameSockets {
                try Agent.handOverFrameSockets()
            } else if handOverFastPath {
                try Agent.handOverFastPath()
            } else if checkStart {
                try rehearse(options)
            } else {
                try Agent.run(options)
            }
        } catch {
            Agent.report(error)
            throw error.givesUp ? ExitCode(EX_UNAVAILABLE) : ExitCode.failure
        }
    }

    private func rehearse(_ options: AgentOptions) throws(AgentError) {
        guard let why = try Agent.rehearse(options) else { return print("a start takes the policy on disk: \(policy)") }
        print("a start takes the last policy that was in force, because the one on disk cannot be taken:\n\(why)")
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
