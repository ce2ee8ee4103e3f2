// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import AgentControl
import ArgumentParser
import CaptureReplay
import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import PolicyAnalysis
import PolicyFile

struct ExplainCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Say what becomes of a packet, why, and what would change it.",
        discussion: discussion(
            """
            The packet comes from the command line, from a capture (--capture FILE --packet NUMBER), or from an event (--event LINE, - \
            for standard input). It is judged against the running agent as it is at this moment: by its policy in force, its interfaces \
            and addresses, the schedules that hold now, and what it knows of the packet's connection. With --policy FILE it is judged by \
            that file instead, without an agent: a packet of a capture after the packets before it, any other alone. Either way the \
            agent's engine judges, here in the tool, and records each step; what is printed are these steps, with the value that decided \
            each, and the rules that lack one criterion only. Then the smallest change that turns the outcome: a criterion of a rule, \
            where no other packet passes by it than by the rule that could be added, and a setting or a rule as a file for policy.d. Each \
            was tried, the packet was judged again with it. Nothing is sent, and nothing is changed in the agent.

            With --watch, what the kernel does to packets of the flow after they have passed: the tracepoint skb:kfree_skb names no \
            listener, the reverse path filter, a checksum, a full buffer. It says why, and not whose packet: what is told besides is how \
            sure it is that one of this flow is meant.

            Of a TCP segment whose numbers are not said, they are those with which its sender would go on, where the agent knows the \
            connection.
            """))

    static let examples = [
        Example(
            "portreeve explain --direction incoming --interface eth0 --tcp 198.51.100.7:40000 192.0.2.10:22",
            "Whether a connection to SSH would be admitted now, and by which rule."),
        Example(
            "portreeve explain --direction outgoing --tcp 192.0.2.10:22 198.51.100.7:40000 --flags ack --payload 100",
            "What becomes of the next segment of a connection that the agent knows."),
        Example(
            "portreeve explain --policy policy.yaml --capture trouble.pcap --packet 12",
            "Why the twelfth packet would be dropped by this policy."),
        Example(
            "portreeve events --json -n 1 | portreeve explain --event -",
            "Why the last packet was dropped, and what lets it pass."),
    ]

    static let ends: [ExitStatus] = [
        .done.when("the packet passes"), .failed.when("it could not be judged"), .isDropped, .waits, .untraced,
    ]

    @Option(
        name: .customLong("policy"),
        help: ArgumentHelp(
            "Judge by this policy file, and not by the running agent; - is standard input.",
            valueName: "file"),
        completion: Completions.policy)
    var policyFile: String?

    @OptionGroup var control: ControlOptions
    @OptionGroup var packet: PacketOptions

    @Option(help: "Take the packet from a capture; - is standard input.", completion: Completions.captures)
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

    @Flag(help: "Print only the setting or the rule that turns the outcome, as a file for policy.d.")
    var change = false

    @Option(
        help: ArgumentHelp(
            "Where the packet passes, watch for so long what the kernel does to the packets of its flow.",
            valueName: "seconds"))
    var watch: Int?

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        let ways = [capture != nil, event != nil, packet.isGiven].filter { $0 }.count
        guard ways == 1 else {
            throw ValidationError("name one packet: in words (--tcp, --udp, --icmp, --ip), by --capture, or by --event")
        }
        if (capture == nil) != (number == nil) { throw ValidationError("--capture and --packet go together") }
        guard [policyFile, capture, event].count(where: { $0 == StandardInput.name }) < 2 else {
            throw ValidationError("standard input is one file, and is read once")
        }
        if !local.isEmpty && capture == nil { throw ValidationError("--local is for --capture") }
        if json && change { throw ValidationError("--json and --change are two forms: choose one") }
        if let watch {
            guard (1...3600).contains(watch) else { throw ValidationError("--watch is from 1 to 3600 seconds") }
            guard policyFile == nil else {
                throw ValidationError("--watch needs the running agent: leave --policy out")
            }
        }
        if packet.isGiven { _ = try packet.words() }
    }

    func run() throws {
        let (subject, basis) = try policyFile.map(againstFile) ?? againstAgent()
        var explanation = try subject.judge(basis.policy)
        guard !explanation.steps.isEmpty else { throw fail(subject.absence) }
        if let setting = explanation.refusal?.cause.setting {
            explanation.settingPlace = PolicyFile.place(of: setting, in: basis.texts())
        }
        let search = ChangeSearch(reread: basis.reread, judge: { try? subject.judge($0) })
        let isRefused = explanation.refusal != nil
        let change = isRefused ? search.toPass(explanation) : search.toDrop(explanation)
        var report = ExplanationReport(
            packet: subject.sentence, recorded: subject.recorded, explanation: explanation, change: change)
        if isRefused {
            let text = ChangeSearch.Text(basis.texts(), reread: basis.rewritten)
            report.criterion = search.toPass(explanation, within: text, beside: change)
        }
        report.gaps = subject.gaps
        if let present = basis.present {
            report.agent = present.lines(basis.policy)
            report.gaps += present.gaps(basis.policy, explanation)
        }
        if self.change { return try printChange(change, report) }
        if let watch, explanation.passes == true, let scene = basis.scene {
            report.kernel = try watched(scene, explanation, watch)
        }
        if json { print(report.json.printed) } else { printLines(report.lines) }
        switch explanation.passes {
        case true?: break
        case false?: throw ExitStatus.isDropped.exit
        case nil: throw ExitStatus.waits.exit
        }
    }

    private func printChange(_ change: Change?, _ report: ExplanationReport) throws {
        guard let change else { throw fail(report.lines.last ?? "there is none") }
        print(change.file, terminator: "")
    }

    private func watched(_ scene: PacketScene, _ explanation: Explanation, _ seconds: Int) throws -> [String] {
        guard let headers = explanation.headers,
            var watch = FlowWatch(control, scene, protocolNumber: headers.protocolNumber, seconds: seconds)
        else { throw fail("what is no IP packet is not watched", status: .untraced) }
        complain("watching for \(seconds) s what the kernel does to the packets of this flow; send some")
        return try watch.run()
    }

    /// By what a packet is judged.
    private struct Basis {
        let policy: Policy
        let reread: (_ addition: String) -> PolicyDocument?
        /// Of the policy's files.
        let texts: () -> [(name: String, text: [UInt8])]
        /// The policy with these texts in the place of its files.
        let rewritten: (_ texts: [(name: String, text: [UInt8])]) -> PolicyDocument?
        var present: Present?
        /// The packet as it comes to the agent.
        var scene: PacketScene?
    }

    private func againstFile(_ path: String) throws -> (ExplainedPacket, Basis) {
        let policy: Policy
        do {
            policy = try Policy(try PolicyFile.loading(path, for: .replay), epoch: 1)
        } catch {
            throw fail("\(error)")
        }
        let basis = Basis(
            policy: policy,
            reread: { PolicyFile.reading(path, for: .replay, adding: [("change.yaml", Array($0.utf8))]).document },
            texts: {
                path == StandardInput.name
                    ? [(StandardInput.title, StandardInput.bytes)] : PolicyFile.texts(of: path)
            }, rewritten: { PolicyFile.parse($0, for: .replay).document })
        if let capture, let number { return (try .inCapture(capture, number, local: local.map(\.range)), basis) }
        if let event = try recorded() {
            var subject = ExplainedPacket(PacketScene(here: event.words), event.words.sentence)
            (subject.recorded, subject.gaps) = (event.fate, event.gaps)
            return (subject, basis)
        }
        let words = try packet.words()
        return (ExplainedPacket(PacketScene(here: words), words.sentence), basis)
    }

    private func againstAgent() throws -> (ExplainedPacket, Basis) {
        if let capture, let number {
            let scene = try self.scene(ofPacket: number, in: capture)
            return try judged(scene, ExplainedPacket.sentence(capture, number), nil)
        }
        if var event = try recorded() {
            // It is asked what would become of it now.
            event.words.unixTime = try packet.moment
            if let interface = packet.interface { event.words.interface = interface }
            return try judged(PacketScene(here: event.words), event.words.sentence, event)
        }
        var words = try packet.words()
        var scene = PacketScene(here: words)
        guard case .tcp(let port, _, let flags) = words.transport, !flags.contains(.syn), packet.sequence == nil,
            packet.acknowledgement == nil
        else { return try judged(scene, words.sentence, nil) }
        let agent = try askedAgent(scene)
        if let numbers = agent.present.nextNumbers(from: words.source, port) {
            (words.sequence, words.acknowledgement) = numbers
            scene = PacketScene(here: words)
        }
        return judged(scene, words.sentence, nil, by: agent)
    }

    private func judged(
        _ scene: PacketScene, _ sentence: String, _ event: RecordedPacket?
    ) throws -> (ExplainedPacket, Basis) {
        judged(scene, sentence, event, by: try askedAgent(scene))
    }

    private func judged(
        _ scene: PacketScene, _ sentence: String, _ event: RecordedPacket?, by agent: RunningAgent
    ) -> (ExplainedPacket, Basis) {
        var scene = scene
        scene.put(agent.present)
        var subject = ExplainedPacket(scene, sentence)
        subject.recorded = event?.fate
        subject.gaps = event?.gaps ?? []
        let basis = Basis(
            policy: agent.policy, reread: { agent.reread(adding: $0) }, texts: { agent.texts },
            rewritten: { agent.reread($0) }, present: agent.present, scene: scene)
        return (subject, basis)
    }

    private func askedAgent(_ scene: PacketScene) throws -> RunningAgent {
        do {
            return try RunningAgent(control, for: scene)
        } catch {
            complain("note: with --policy FILE the packet is judged by that file, without an agent")
            throw error
        }
    }

    private func scene(ofPacket number: UInt64, in path: String) throws -> PacketScene {
        var own = local.map(\.range)
        if own.isEmpty { own = LocalAddress.all().map { AddressRange(first: $0.address, last: $0.address) } }
        do {
            guard let found = try CapturedPacket.packet(number, in: StandardInput.path(for: path), local: own) else {
                throw fail(
                    "\(StandardInput.title(of: path)) has no packet \(number) from or to this host; --local says who this host is"
                )
            }
            return PacketScene(here: found, interface: packet.interface, unixTime: try packet.moment)
        } catch let error as CaptureError {
            throw fail(error.description)
        }
    }

    private func recorded() throws -> RecordedPacket? {
        guard let event else { return nil }
        return try RecordedPacket(event == "-" ? String(decoding: StandardInput.bytes, as: UTF8.self) : event)
    }
}
