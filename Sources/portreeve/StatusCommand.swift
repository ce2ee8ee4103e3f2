// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import FirewallPolicy
import PacketFilterRules

struct StatusCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show what the agent does, and whether the host is protected.",
        discussion: discussion(
            """
            Without an agent the rules in place decide: a queue that nobody reads drops its packets, or lets them pass \
            where the rule has --queue-bypass.
            """))

    static let examples = [
        Example("portreeve status", "Is this host protected, by what, and what was dropped?"),
        Example("portreeve status >/dev/null || echo not protected", "In a script: the exit status is the answer."),
        Example("portreeve status --json --agent-only", "For a program, of the agent alone."),
    ]

    static let ends: [ExitStatus] = [
        .done.when("protected"), .failed.when("the question could not be asked"), .noAgent, .notProtected, .rulesUnread,
    ]

    @OptionGroup var control: ControlOptions

    @Flag(help: "Print one JSON object.")
    var json = false

    @Flag(help: "Ask the agent only, and leave the rules in place out.")
    var agentOnly = false

    func run() throws {
        let reply: ControlReply
        do {
            reply = try ControlClient(path: control.path, timeoutSeconds: 10).request(.status)
        } catch .notRunning {
            throw reportAbsence()
        } catch {
            throw fail("\(error)")
        }
        guard case .status(let report) = reply else { throw control.unexpected() }
        let protection = agentOnly ? nil : HostProtection(report)
        if json {
            print(report.json.adding(protection).printed)
        } else {
            let text = StatusText(report, protection, width: terminalWidth, palette: .output)
            for line in text.lines { print(line) }
        }
        switch protection?.state {
        case nil, .protected: return
        case .tap, .partly, .unprotected: throw ExitStatus.notProtected.exit
        case .unknown: throw ExitStatus.rulesUnread.exit
        }
    }

    private func reportAbsence() -> ExitCode {
        let failure = control.failure
        let (state, sentence) = Self.withoutAgent(failure)
        if json {
            let object: JSONValue = [
                "agent": .null, "control": .text(control.path), "protection": .text(state),
                "failure": .optional(failure?.text), "failed_at": failure?.at.map { .count($0) } ?? .null,
            ]
            print(object.printed)
        }
        if let failure { complain(failure.sentence) }
        return fail("no agent is running at \(control.path.harmless): \(sentence)", status: .noAgent)
    }

    /// What the rules in place make of a host without an agent, in a word and in a sentence.
    private static func withoutAgent(_ failure: AgentFailure?) -> (String, String) {
        let rules: NamespaceRules
        do {
            rules = try NamespaceRules.read()
        } catch {
            return (
                "unknown",
                "whether this host is not protected or shut cannot be told, because its rules cannot be read: \(error)"
            )
        }
        let start = failure == nil ? "start portreeved" : "mend what keeps portreeved from starting"
        switch rules.inspection(of: .init()).protection {
        case .noRules:
            return ("none", "this host is not protected; no rule gives packets to a queue, all packets pass unchecked")
        case .unprotected:
            return (
                "open",
                "this host is not protected; its rules have --queue-bypass, all packets pass unchecked; \(start)"
            )
        case .shut:
            return (
                "shut",
                "this host is shut; its rules give packets to a queue that nobody reads, and they are dropped; \(start), "
                    + "or run \"portreeve iptables --remove\""
            )
        case .mixed:
            return (
                "mixed",
                "this host is partly shut and partly not protected; of the rules that give packets to a queue some have "
                    + "--queue-bypass and some have not; \(start), or run \"portreeve iptables --check\""
            )
        case .read(let queues):
            let range = "\(queues.lowerBound)" + (queues.count > 1 ? "-\(queues.upperBound)" : "")
            if failure != nil {
                return (
                    "waiting",
                    "this host is shut; its packets wait in queue \(range), which the service manager keeps for the agent; "
                        + "\(start), or run \"portreeve iptables --remove\""
                )
            }
            return (
                "other", "but a program reads queue \(range); name the control socket of that agent with --control"
            )
        }
    }
}

extension JSONValue {
    /// The report with what the rules in place make of it.
    fileprivate func adding(_ protection: HostProtection?) -> JSONValue {
        guard let protection, case .object(let members) = self else { return self }
        let word = JSONValue.Member("protection", .text(protection.state.rawValue))
        return .object(members + [word, JSONValue.Member("protection_details", .texts(protection.details))])
    }
}
