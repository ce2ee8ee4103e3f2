// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import CaptureReplay
import FirewallEngine
import FirewallPolicy
import PolicyAnalysis
import PolicyFile

struct ExplainCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Say what becomes of a packet, why, and what would change it.",
        discussion: discussion(
            """
            The packet comes from the command line, from a capture (--capture FILE --packet NUMBER, after the packets before it), or \
            from an event (--event LINE, - for standard input). The agent's engine judges it by the policy file and records each step; \
            what is printed are these steps, with the value that decided each, and the rules that lack one criterion only. Then the \
            smallest change that turns the outcome, as a file for policy.d: it was tried, the packet was judged again with it. A packet \
            from the command line comes alone: no connection is known of it.
            """))

    static let examples = [
        Example(
            "portreeve explain --direction incoming --interface eth0 --tcp 198.51.100.7:40000 192.0.2.10:22",
            "Whether a connection to SSH would be admitted, and by which rule."),
        Example("portreeve explain --capture trouble.pcap --packet 12", "Why the twelfth packet would be dropped."),
        Example(
            "portreeve events --json -n 1 | portreeve explain --event -",
            "Why the last packet was dropped, and what lets it pass."),
    ]

    static let ends: [ExitStatus] = [
        .done.when("the packet passes"), .failed.when("it could not be judged"), .isDropped, .waits,
    ]

    @OptionGroup var policy: PolicyOptions
    @OptionGroup var packet: PacketOptions

    @Option(help: "Take the packet from a capture.", completion: Completions.captures)
    var capture: String?

    @Option(
        name: .customLong("packet"), help: ArgumentHelp("The number of the packet in the capture.", valueName: "number")
    )
    var number: UInt64?

    @Option(
        help: ArgumentHelp("With --capture: an address or network that is this host.", valueName: "address[/length]"))
    var local: [AddressRangeArgument] = []

    @Option(help: ArgumentHelp("Take the packet from an event's record; - is standard input.", valueName: "line"))
    var event: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        let ways = [capture != nil, event != nil, packet.isGiven].filter { $0 }.count
        guard ways == 1 else {
            throw ValidationError("name one packet: in words (--tcp, --udp, --icmp, --ip), by --capture, or by --event")
        }
        if (capture == nil) != (number == nil) { throw ValidationError("--capture and --packet go together") }
        if !local.isEmpty && capture == nil { throw ValidationError("--local is for --capture") }
        if packet.isGiven { _ = try packet.words() }
    }

    func run() throws {
        let subject = try self.subject()
        let policy = try compiled()
        let explanation = try subject.judge(policy)
        guard !explanation.steps.isEmpty else { throw fail(subject.absence) }
        let search = ChangeSearch(
            reread: {
                PolicyFile.read(self.policy.path, for: .replay, adding: [("change.yaml", Array($0.utf8))]).document
            },
            judge: { try? subject.judge($0) })
        let isRefused = explanation.refusal != nil
        let change = isRefused ? search.toPass(explanation) : search.toDrop(explanation)
        let report = ExplanationReport(
            packet: subject.sentence, recorded: subject.recorded, explanation: explanation, change: change)
        if json { print(report.json.printed) } else { for line in report.lines { print(line.harmless) } }
        switch explanation.passes {
        case true?: break
        case false?: throw ExitStatus.isDropped.exit
        case nil: throw ExitStatus.waits.exit
        }
    }

    private func compiled() throws -> Policy {
        do {
            return try Policy(try PolicyFile.load(policy.path, for: .replay), epoch: 1)
        } catch {
            throw fail("\(error)")
        }
    }

    private func subject() throws -> ExplainedPacket {
        if let capture, let number {
            return try .inCapture(capture, number, local: local.map(\.range))
        }
        if let event { return try .ofEvent(event == "-" ? String(decoding: readAll(0), as: UTF8.self) : event) }
        return .inWords(try packet.words())
    }
}
