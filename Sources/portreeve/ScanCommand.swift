// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import EventReader
import Glibc
import PacketWire
import PathProbe

struct ScanCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "scan", abstract: "Test which ports pass a path, and find out how those fail that do not.",
        discussion: discussion(
            """
            Sends a keyed payload to each port of HOST, where `portreeve reflect` listens and answers, and says for each what \
            came of it: open, or one of eight ways to fail, with what was seen. All ports are opened there before the first \
            probe leaves. With --target there is no reflector: then only a handshake, or an ICMP error, can be seen, and \
            every line is one-sided.

            What Portreeve agents did to the probes is part of the answer: the agent of this host is asked over its control \
            socket, the one of the reflector's host where the reflector runs with --agent, and any other by its events file. \
            Then each line says where a probe ended, why, and by which rule of which file and line.
            """))

    static let examples = [
        Example(
            "portreeve scan web.example --key reflect.key -t 80,443 -u 53",
            "Which of these ports pass the path to a host with a reflector."),
        Example(
            "portreeve scan web.example --control-via ssh -t 1-1024",
            "The same without a key: the reflector is started over ssh."),
        Example(
            "portreeve scan --plan plan.yaml --key reflect.key --json",
            "Everything that a plan names, one JSON object for each probe."),
        Example("portreeve scan --target 192.0.2.25 -t 25", "A host without a reflector."),
        Example(
            "portreeve scan --plan plan.yaml --key reflect.key --save now.jsonl --diff before.jsonl --html now.html",
            "What has changed since the result that was kept before, and a page to look at."),
    ]

    static let ends: [ExitStatus] = [
        .done.when("as expected"), .failed.when("not as expected, or not as in the result that --diff names"),
        .inconclusive, .cannotScan,
    ]

    @Argument(help: "The reflector's host: a name or an address.")
    var host: String?

    @Option(
        help: ArgumentHelp(
            "Tests with what is expected of each, in place of -t and -u; - is standard input.", valueName: "file"),
        completion: .file())
    var plan: String?

    @OptionGroup var derivation: DerivedPlanOptions
    @OptionGroup var probes: ProbeOptions
    @OptionGroup var pace: PaceOptions

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("The reflector, if its control channel is elsewhere.", valueName: "host[:port]"))
    var server: String?

    @Option(help: ArgumentHelp("The file of the pre-shared key.", valueName: "file"), completion: .file())
    var key: String?

    @Option(
        help: ArgumentHelp(
            "Reach the reflector through a program's standard input and output: ssh, or exec:COMMAND.",
            valueName: "program"))
    var controlVia: String?

    @Flag(help: "Without a control channel: the reflector was given the same plan and key, with its own --offline.")
    var offline = false

    @Option(help: ArgumentHelp("Probe a host without a reflector.", valueName: "host"))
    var target: String?

    @Option(
        help: ArgumentHelp(
            "The events file of a Portreeve agent on the path: why it dropped packets of a probe.", valueName: "file"),
        completion: .file())
    var events: String?

    @Option(name: [.customShort("g"), .long], help: ArgumentHelp("Text that each result carries.", valueName: "tag"))
    var tag: String?

    @OptionGroup var report: ReportOptions
    @OptionGroup var control: ControlOptions

    @Flag(help: "Print the kinds of results, and what they mean.")
    var categories = false

    @Flag(help: "Say what would be probed and how long it may take, and send nothing.")
    var dryRun = false

    func run() throws {
        guard !categories else { return ScanText.showCategories(json: report.json) }
        let file = try plan.map { try PlannedFile.load($0) }
        var options = try pace.options()
        let derived =
            derivation.file == nil ? nil : try derivation.plan(to: destination(), except: controlPort, probes, options)
        if derivation.simulate, let derived { return derived.lines(json: report.json).forEach { print($0) } }
        let plan = ScanPlan(
            try file.map { try PlannedFile.tests(of: $0, probes, resolving: !dryRun) } ?? derived?.tests(probes)
                ?? tests())
        if options.seed == 0 { options.seed = UInt64.random(in: 1...UInt64(UInt32.max)) }
        guard !dryRun else { return describe(plan, options) }
        let earlier = try report.earlier()
        var agents: [AgentEvents] = []
        var result: ScanResult
        do {
            let own = ownAgent()
            agents = try [events.map { try AgentEvents(file: $0, .file) }, own].compactMap { $0 }
            let poller = try Poller()
            var session = ScanSession(poller, options)
            session.hearsSignals = true
            session.offline = try file.flatMap { try PlannedFile.sessions(of: $0, key, offline) }
            let reflector = try connection(file?.reflector)?.open(poller)
            defer { reflector?.close() }
            session.channel = reflector?.channel
            let meter = ProgressMeter()
            defer { meter.clear() }
            result = try session.run(plan) { meter.show($0) }
            result.isOwnAgentAsked = own != nil
            settle(agents, after: result)
        } catch let fault as ReadError {
            throw fail("\(fault)", status: .cannotScan)
        } catch let fault as ControlFault {
            throw fail("\(fault)", status: .inconclusive)
        } catch let fault as SystemFault {
            throw fail("\(fault)", status: .cannotScan)
        }
        let drops = DropRegister(agents.flatMap { $0.drops() } + result.drops)
        if let fault = agents.compactMap(\.fault).first { throw fail("\(fault)", status: .cannotScan) }
        try finish(ScanReport(plan, result, tag: tag, drops: drops), options, earlier, derived)
    }

    private func finish(
        _ found: ScanReport, _ options: ScanOptions, _ earlier: ScanBaseline?, _ derived: DerivedPlan?
    ) throws {
        if report.json {
            for line in found.jsonLines + found.pathMTULines { print(line) }
        } else if report.tap {
            print(found.tap, terminator: "")
            for each in found.pathMTUs { print("# \(each.target.harmless): \(each.text)") }
        } else {
            ScanText.show(found, options)
        }
        try report.write(found)
        var status = found.exitStatus
        // A TAP reader takes a line that begins so for a comment.
        let mark = report.tap ? "# " : ""
        if let earlier, let now = found.baseline {
            let changes = earlier.changes(to: now)
            if report.json {
                changes.forEach { print($0.json) }
            } else {
                ScanText.lines(of: changes, since: report.diff ?? "").forEach { print(mark + $0) }
            }
            if !changes.isEmpty, status != ExitStatus.cannotScan.code { status = ExitStatus.failed.code }
        }
        if let derived {
            let comparison = derived.comparison(found, json: report.json)
            for line in derived.unreached(json: report.json) + comparison.lines { print(mark + line) }
            if !comparison.agrees, status == 0 { status = ExitStatus.failed.code }
        }
        if let reason = ScanText.interruption(found) { complain(reason) }
        if status != 0 { throw ExitCode(status) }
    }

    /// The agent of this host is asked by default: what it drops of our own probes looks like a path that drops.
    private func ownAgent() -> AgentEvents? {
        do throws(AgentEvents.Absence) {
            return try AgentEvents(control, .here)
        } catch {
            if case .silent(let reason) = error {
                complain("note: what the agent on this host drops is not known: \(reason)")
            }
            return nil
        }
    }

    /// Like events are written together, so what is on its way is waited for, unless nothing was dropped.
    private func settle(_ agents: [AgentEvents], after result: ScanResult) {
        guard result.outcomes.contains(where: { $0.finding.category != .open }) else { return }
        let longest = agents.map(\.settling).max() ?? .zero
        guard !agents.isEmpty else { return }
        usleep(useconds_t(min(longest.nanoseconds, 10_000_000_000) / 1_000) + 500_000)
    }

    func validate() throws {
        guard !offline || (plan != nil && key != nil) else { throw ValidationError("--offline needs --plan and --key") }
        if derivation.file != nil || plan != nil {
            guard probes.idle == nil, !probes.mtu, !probes.ecn, probes.dscp == 0 else {
                throw ValidationError("--idle, --mtu, --dscp and --ecn go with -t and -u")
            }
        }
        if derivation.file != nil {
            guard plan == nil, probes.tcp == nil, probes.udp == nil, probes.expect == nil, target == nil else {
                throw ValidationError("--from-policy takes the place of --plan, -t, -u, --expect and --target")
            }
        }
        guard plan != nil else { return }
        guard probes.tcp == nil, probes.udp == nil, probes.expect == nil, target == nil else {
            throw ValidationError("--plan takes the place of -t, -u, --expect and --target")
        }
    }

    private func tests() throws -> [PlannedTest] {
        try probes.tests(of: destination(), hasReflector: target == nil)
    }

    /// Where the reflector listens for scans, if that is a port.
    private var controlPort: UInt16? {
        guard controlVia == nil else { return nil }
        return (server ?? host).flatMap { HostName.split($0)?.port } ?? Reflector.defaultControlPort
    }

    /// Where probes go.
    private func destination() throws -> Endpoint {
        guard let name = target ?? host ?? server.flatMap({ HostName.split($0)?.host }) else {
            throw ValidationError("name the reflector's host, or with --target a host without one")
        }
        guard target == nil || host == nil else {
            throw ValidationError("--target takes the place of the reflector's host")
        }
        // ssh's way to name a user says nothing about where probes go.
        return try probes.resolve(String(name.split(separator: "@").last ?? ""))
    }

    /// Nil without a reflector.
    private func connection(_ planned: String?) throws -> ReflectorConnection? {
        guard target == nil, !offline else { return nil }
        guard let name = server ?? host ?? planned else { throw ValidationError("name the reflector's host") }
        if let controlVia {
            guard let connection = ReflectorConnection.program(controlVia, host: name) else {
                throw ValidationError("--control-via: found \"\(controlVia)\", expected ssh or exec:COMMAND")
            }
            return connection
        }
        guard let key else { throw ValidationError("--key FILE is the key that the reflector has, too") }
        guard let (host, port) = HostName.split(name) else {
            throw ValidationError("found \"\(name)\", expected HOST or HOST:PORT")
        }
        do {
            let endpoint = try probes.resolve(host).with(port: port ?? Reflector.defaultControlPort)
            return .tcp(endpoint, try KeyFile.read(key))
        } catch let fault as KeyFile.Fault {
            throw fail("\(fault)", status: .usage)
        }
    }

    private func describe(_ plan: ScanPlan, _ options: ScanOptions) {
        let seconds = (plan.worstCase(options).nanoseconds + 999_999_999) / 1_000_000_000
        guard !report.json else {
            let lines = plan.tests.map { test -> JSONValue in
                [
                    "v": .integer(1), "proto": .text(test.transport.rawValue),
                    "target": .text(test.host ?? test.target.host), "ports": .text("\(test.ports)"),
                ]
            }
            let last: JSONValue = ["v": .integer(1), "probes": .count(plan.count), "at_most_s": .count(seconds)]
            return (lines + [last]).forEach { print($0.printed) }
        }
        for test in plan.tests {
            print("\(test.transport.rawValue) \(test.host ?? test.target.host) \(test.ports)")
        }
        print("\(plan.count.grouped) probes, at most \(seconds.grouped) s if none is answered")
    }
}
