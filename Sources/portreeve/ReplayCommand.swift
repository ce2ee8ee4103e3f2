// SPDX-License-Identifier: GPL-3.0-or-later

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
            as its clock. Events go to standard output as JSON lines, a summary to standard error. Connections that \
            are under way when the capture begins are admitted as in the agent's cold start.
            """))

    static let examples = [
        Example(
            "portreeve replay --policy policy.yaml capture.pcap", "What the policy would have dropped of a capture."),
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
            "An address or network that is this host; without one the side that speaks first in a conversation is.",
            valueName: "address[/length]"))
    var local: [AddressRangeArgument] = []

    @Flag(help: "Write one line per event.")
    var noFold = false

    @Argument(help: "Capture files; - is standard input.", completion: Completions.captures)
    var captures: [String]

    func run() throws {
        let policy = try loaded()
        var replay = CaptureReplay(
            policy: policy, local: local.map(\.range), folds: !noFold,
            zones: SystemTimeZones.zones(of: policy.document), values: PolicyFile.values(of: policy.document))
        let began = ContinuousClock.now
        var failure: CaptureError?
        do {
            for path in captures { try replay.run(path, write: printBytes) }
        } catch {
            failure = error
        }
        replay.finish(write: printBytes)
        complain(text(replay.summary, ContinuousClock.now - began))
        if let failure { throw fail(failure.description) }
    }

    private func loaded() throws -> Policy {
        do {
            return try Policy(try PolicyFile.load(policy.path, for: .replay), epoch: 1)
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
