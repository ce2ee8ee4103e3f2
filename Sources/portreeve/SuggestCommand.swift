// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import CaptureReplay
import EventReader
import FirewallPolicy
import PacketWire
import PolicyAnalysis
import PolicyFile

struct SuggestCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "suggest", abstract: "Suggest rules that admit what was seen and wanted.",
        discussion: discussion(
            """
            Reads events (of tap mode, or of drops) and captures, and prints the fewest Allow and Force Allow rules found that admit what the \
            policy refuses of it, as a file for policy.d: for each rule how often it was wanted, by whom, and what else it would \
            admit. Every exchange that a rule is for was judged by the engine with the rule before it is printed. Nothing is put in force. \
            Without --events and --capture the events file of the policy in force is read, with what rotations have left of it.

            Left out, and said, is: what a rule of the policy refuses on purpose; what was refused by its receiver, not answered, or \
            not listened for; whoever looks like a scanner, by the test that the agent itself tells scans by; and what is refused for \
            reasons that no rule decides. An opener's source port is no part of any rule. Three or more computers of one network of \
            256 addresses (IPv6: of one /64) become the smallest prefix around them, more than sixteen entries everybody, and eight or more \
            ports that lie close a range; --exact does none of it.

            A policy that restricts nothing refuses nothing. To learn from nothing, use "mode: tap" with "default: { incoming: deny, \
            outgoing: deny }".
            """))

    static let examples = [
        Example("portreeve suggest", "Of the events that there are, which rules would have admitted what was wanted."),
        Example(
            "portreeve suggest --capture monday.pcap --local 192.0.2.10 > /etc/portreeve/policy.d/60-suggested.yaml",
            "The same of a capture; read it, then \"portreeve check\", \"portreeve diff --running /etc/portreeve/policy.yaml\" and \"portreeve reload\"."
        ),
        Example(
            "portreeve events --since 1d --json | portreeve suggest --events - --network 10.0.0.0/8 --json",
            "Of one day's events, for all of an inside network where one of it was seen; as JSON."),
    ]

    static let ends: [ExitStatus] = [
        .done.when("everything was read; also where there is nothing to suggest"),
        .failed.when("something could not be read, or the policy does not load"),
    ]

    @OptionGroup var policy: PolicyOptions
    @OptionGroup var control: ControlOptions

    @Option(
        help: ArgumentHelp(
            "Event records, a file or - (standard input); may be given several times.", valueName: "file"),
        completion: .file())
    var events: [String] = []

    @Option(
        help: ArgumentHelp("A capture, a file or - (standard input); may be given several times.", valueName: "file"),
        completion: Completions.captures)
    var capture: [String] = []

    @Option(
        help: ArgumentHelp(
            "An address or network that is the policy's host in captures; without one it is guessed.",
            valueName: "address[/length]"))
    var local: [AddressRangeArgument] = []

    @Option(
        help: ArgumentHelp(
            "A network all of which is let in, or out to, where one of its addresses was seen; may be given several times.",
            valueName: "address[/length]"))
    var network: [AddressRangeArgument] = []

    @Option(
        help: ArgumentHelp(
            "Whatever this address or network did was wanted, even if it looks like a scan; may be given several times.",
            valueName: "address[/length]"))
    var include: [AddressRangeArgument] = []

    @Flag(help: "Generalise nothing: rules name the addresses of both sides, ports and interfaces that were seen.")
    var exact = false

    @Flag(help: "Suggest rules also for what a Deny rule of the policy refuses.")
    var overDenies = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        if (events + capture).filter({ $0 == "-" }).count > 1 {
            throw ValidationError("standard input can be read only once")
        }
    }

    func run() throws {
        let path = policy.path
        let compiled: Policy
        do {
            compiled = try Policy(try PolicyFile.read(path, leavingOut: isOutput).get(), epoch: 1)
        } catch {
            throw fail("\(error)")
        }
        var reader = TrafficReader(tellsInterfacesApart: exact)
        try read(into: &reader, compiled)
        var options = Suggestion.Options()
        options.networks = network.map(\.range)
        options.included = include.map(\.range)
        options.isExact = exact
        options.overDenies = overDenies
        let suggestion = Suggestion(compiled, reader.traffic, options) { text in
            PolicyFile.read(path, adding: [("suggestion", Array(text.utf8))], leavingOut: isOutput).document
        }
        let report = SuggestionReport(suggestion, reader, policyPath: path, isExact: exact)
        if json { print(report.json.printed) } else { report.lines.forEach { print($0) } }
        reader.complaints.forEach { complain($0) }
        if suggestion.isUnreadable {
            throw fail("\(path.harmless): with the suggestion it could not be read; nothing was confirmed")
        }
        if reader.hasFailed { throw ExitStatus.failed.exit }
    }

    private func read(into reader: inout TrafficReader, _ compiled: Policy) throws {
        for path in events { reader.addEvents(path) }
        for path in capture { reader.addCapture(path, compiled, local: local.map(\.range)) }
        guard events.isEmpty, capture.isEmpty else { return }
        let known = KnownPolicy.inForce(policy, control)
        let settings = known.document.events
        guard settings.format == .json else {
            throw fail(
                "events file: \(settings.path) is written as \(settings.format.rawValue), which this command does not read"
            )
        }
        reader.addHistory(settings.path)
    }
}
