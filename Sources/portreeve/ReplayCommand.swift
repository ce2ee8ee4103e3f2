// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import CaptureReplay
import FirewallEngine
import FirewallPolicy
import PacketWire
import PolicyFile

struct ReplayCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "replay", abstract: "Judge the packets of captures by a policy.",
        discussion: discussion(
            """
            The agent's engine over pcap and pcapng files (Ethernet, raw IP, Linux cooked, BSD loopback), with packet time \
            as its clock. Interfaces of one file may have link types, snap lengths and clocks of their own, as mergecap writes \
            them; frames of other links are counted and left out. Files that gzip has compressed are read as they are, those of \
            xz, zstd, bzip2 and lz4 by these programs. Several files are one stretch of time, in the order in which they are \
            named; of a folder every file in it, and in its folders, is read that is called a capture (.pcap, .pcapng, .cap, .dmp, \
            with a number or an ending of a compression behind it), in the order of their paths.

            Events go to standard output as JSON lines, a summary to standard error. Connections that \
            are under way when the capture begins are admitted as in the agent's cold start. Without --local the files are \
            read once more before, to find out which machine is this host: by what the capture notes, by the MAC or IP address \
            that takes part in everything, or by who is connected to. What was found, and how sure it is, goes to standard \
            error. Of standard input the side that speaks first in a conversation is taken.
            """))

    static let examples = [
        Example(
            "portreeve replay --policy policy.yaml capture.pcap", "What the policy would have dropped of a capture."),
        Example(
            "portreeve replay --policy policy.yaml captures/",
            "The same of all captures in a folder, compressed ones too."),
        Example(
            "tcpdump -w - -c 1000 | portreeve replay --local 192.0.2.10 -", "The same of the traffic that is there now."
        ),
    ]

    static let ends: [ExitStatus] = [
        .done.when("every file was read to its end"), .failed.when("one was not, or the policy does not load"),
    ]

    @OptionGroup var policy: PolicyOptions

    @Option(
        help: ArgumentHelp(
            "An address or network that is this host; without one it is guessed.",
            valueName: "address[/length]"))
    var local: [AddressRangeArgument] = []

    @Flag(help: "Write one line per event.")
    var noFold = false

    @Flag(help: "Print the summary as a JSON object, behind the events.")
    var json = false

    @Argument(help: "Capture files, and folders with captures; - is standard input.", completion: Completions.captures)
    var captures: [String]

    func validate() throws {
        let names = captures + [policy.path]
        guard names.count(where: { $0 == StandardInput.name }) < 2 else {
            throw ValidationError("standard input is one file, and is read once")
        }
    }

    func run() throws {
        let policy = try loaded()
        let list = CaptureList(captures)
        if let problem = list.problems.first { throw fail(problem.harmless) }
        let captures = list.paths
        var meter = CaptureMeter(captures, readings: local.isEmpty ? 2 : 1)
        let guess = local.isEmpty ? surveyed(captures, &meter) : nil
        var replay = CaptureReplay(
            policy: policy, local: local.map(\.range), guess: guess, folds: !noFold,
            zones: SystemTimeZones.zones(of: policy.document), values: PolicyFile.values(of: policy.document))
        let began = ContinuousClock.now
        var failure: CaptureError?
        do {
            for path in captures {
                let shown = meter.meter
                try replay.run(path, progress: { meter.show($0) }) { lines in
                    shown.clear()
                    printBytes(lines)
                }
                meter.next(path)
            }
        } catch {
            failure = error
        }
        meter.meter.clear()
        replay.finish(write: printBytes)
        if json {
            print(object(replay.summary).printed)
        } else {
            complain(text(replay.summary, ContinuousClock.now - began))
        }
        if let failure { throw fail(failure.description) }
    }

    /// Who this host is, and says so; nil where the captures can be read only once.
    private func surveyed(_ captures: [String], _ meter: inout CaptureMeter) -> HostGuess? {
        guard !captures.contains(StandardInput.name) else {
            complain(
                "warning: standard input is read only once: who speaks first is taken for this host; --local says otherwise"
            )
            return nil
        }
        var survey = HostSurvey()
        for path in captures {
            survey.add(path) { meter.show($0) }
            meter.next(path)
        }
        meter.meter.clear()
        let guess = survey.guess
        let addresses = guess.addresses.sorted().prefix(8).map(\.description).joined(separator: ", ")
        let host = addresses.isEmpty ? "this host is not found" : "this host is taken to be \(addresses)"
        switch guess.sureness {
        case .sure: complain("\(host): \(guess.why)")
        case .likely: complain("\(host), most likely: \(guess.why); --local says otherwise")
        case .uncertain:
            complain(
                "warning: \(host), by a guess: \(guess.why); the other direction is as plausible, and --local says which"
            )
        }
        return guess
    }

    private func loaded() throws -> Policy {
        do {
            return try Policy(try PolicyFile.loading(policy.path, for: .replay), epoch: 1)
        } catch let error as PolicyFileError {
            throw fail("\(error)")
        } catch {
            throw fail("\(error)")
        }
    }

    private func text(_ s: ReplaySummary, _ duration: Duration) -> String {
        let seconds = Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
        let dropped = s.counters.dropped.reduce(0, &+)
        var lines = ["\(s.packets.grouped) packets: \(s.counters.passed.grouped) passed, \(dropped.grouped) dropped"]
        if s.ofOthers > 0 { lines[0] += ", \(s.ofOthers.grouped) neither from nor to this host" }
        if s.ofOtherLinks > 0 { lines.append("  \(s.ofOtherLinks.grouped) of links that cannot be replayed, left out") }
        for row in ReasonRow.all {
            let place = Int(row.reason.rawValue)
            if s.counters.dropped[place] > 0 { lines.append("  \(s.counters.dropped[place].grouped) \(row.slug)") }
            if s.counters.refusedButPassed[place] > 0 {
                lines.append(
                    "  \(s.counters.refusedButPassed[place].grouped) \(row.slug) (passed: tap or failure open)")
            }
        }
        lines.append("\(UInt64(Double(s.packets) / max(seconds, 0.000_001)).grouped) packets/s")
        return lines.joined(separator: "\n")
    }

    private func object(_ s: ReplaySummary) -> JSONValue {
        let reasons = ReasonRow.all.compactMap { row -> JSONValue? in
            let place = Int(row.reason.rawValue)
            let (dropped, passed) = (s.counters.dropped[place], s.counters.refusedButPassed[place])
            guard dropped > 0 || passed > 0 else { return nil }
            return ["reason": .text(row.slug), "dropped": .count(dropped), "would_drop": .count(passed)]
        }
        return [
            "v": .integer(1), "summary": .bool(true), "packets": .count(s.packets), "passed": .count(s.counters.passed),
            "dropped": .count(s.counters.dropped.reduce(0, &+)), "of_others": .count(s.ofOthers),
            "of_other_links": .count(s.ofOtherLinks), "reasons": .list(reasons),
        ]
    }
}

/// An address, or a network in CIDR notation.
struct AddressRangeArgument: ExpressibleByArgument {
    let range: AddressRange

    init?(argument: String) {
        let parts = argument.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = parts.first.flatMap({ IPAddress(parsing: $0) }) else { return nil }
        let isV4 = !argument.contains(":")
        let bits = isV4 ? 32 : 128
        guard let length = parts.count == 1 ? bits : Int(parts[1]), 0...bits ~= length else { return nil }
        range = AddressRangeArgument.network(address, hostBits: bits - length)
    }

    private static func network(_ a: IPAddress, hostBits: Int) -> AddressRange {
        let low: UInt64 = hostBits >= 64 ? .max : (1 << UInt64(hostBits)) - 1
        let high: UInt64 = hostBits <= 64 ? 0 : hostBits >= 128 ? .max : (1 << UInt64(hostBits - 64)) - 1
        return AddressRange(
            first: IPAddress(high: a.high & ~high, low: a.low & ~low),
            last: IPAddress(high: a.high | high, low: a.low | low))
    }
}
