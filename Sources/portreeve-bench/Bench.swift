// SPDX-License-Identifier: GPL-3.0-or-later

import ArgumentParser
import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import PacketWire
import TestSupport

@main
struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "portreeve-bench", abstract: "What a packet costs in the engine, and an event in its writer.",
        subcommands: [
            Speed.self, Records.self, ConnectionLogs.self, Outputs.self, Allocations.self, Analysis.self, Prove.self,
            GeneratedPolicy.self, FlowUpdates.self,
        ],
        defaultSubcommand: Speed.self)
}

/// In-process benchmarks of the engine. Every scenario runs in every round, and ratios are formed inside a round: compare
/// numbers of one run, never of two.
struct Speed: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Time and memory per packet: ratios of one run.")

    @Option(help: "Rounds; each scenario runs once in each.")
    var rounds = 15

    @Option(help: "Packets per scenario and round.")
    var packets = 20_000

    @Option(help: "Only scenarios whose name contains this text, for a profiler.")
    var only: String?

    @Flag(help: "Leave out what takes long: 100,000 rules, 1,000,000 connections.")
    var quick = false

    func run() throws {
        #if DEBUG
            print("a debug build measures nothing: build with -c release")
            throw ExitCode.failure
        #else
            let scenarios = try Scenario.all(quick: quick)
            var results = [Series](repeating: Series(), count: scenarios.count)
            for round in -1..<rounds {
                for i in scenarios.indices where only.map({ scenarios[i].name.contains($0) }) ?? true {
                    let nanoseconds = scenarios[i].measure(packets)
                    // The first round warms caches and tables.
                    if round >= 0 { results[i].values.append(nanoseconds) }
                }
            }
            report(scenarios.map(\.name), scenarios.map(\.reference), results)
            for scenario in scenarios where scenario.bytesCopiedPerPacket > 0 {
                print("\(scenario.name): \(fixed(scenario.bytesCopiedPerPacket, 0)) bytes copied per packet")
            }
            if only == nil {
                memory()
                try loading()
            }
        #endif
    }

    private func report(_ names: [String], _ references: [Int?], _ results: [Series]) {
        print(row("scenario", "ns/packet median", "least", "most", "ratio median (least - most)", "to"))
        for i in names.indices where !results[i].values.isEmpty {
            var ratio = ""
            var to = ""
            if let reference = references[i], !results[reference].values.isEmpty {
                let r = results[i].ratios(to: results[reference])
                ratio = "\(fixed(r.median, 2)) (\(fixed(r.least, 2)) - \(fixed(r.most, 2)))"
                to = names[reference]
            }
            let s = results[i]
            print(row(names[i], fixed(s.median, 0), fixed(s.least, 0), fixed(s.most, 0), ratio, to))
        }
    }

    /// Memory of the table: size of an entry, and resident growth per connection.
    private func memory() {
        let count = quick ? 100_000 : 1_000_000
        let before = ResidentMemory.bytes
        var host = Host(PolicyDocument())
        host.openConnections(count)
        let grown = ResidentMemory.bytes - before
        print("")
        print("\(count) TCP connections: \(grown >> 20) MiB resident, \(grown / count) bytes each")
        print("one more packet: \(host.drain()) events")
    }

    private func loading() throws {
        print("a file of 1000000 addresses: loaded in \(fixed(try AddressLists.secondsToLoad(1_000_000), 2)) s")
    }

    private func row(_ a: String, _ b: String, _ c: String, _ d: String, _ e: String, _ f: String) -> String {
        let widths = [46, 18, 8, 8, 30]
        let cells = zip([a, b, c, d, e], widths).map { $0 + String(repeating: " ", count: max(1, $1 - $0.count)) }
        return cells.joined() + f
    }
}

/// A number with so many digits after the point.
func fixed(_ value: Double, _ digits: Int) -> String {
    var scale = 1
    for _ in 0..<digits { scale *= 10 }
    let scaled = Int((value * Double(scale)).rounded())
    if digits == 0 { return "\(scaled)" }
    let fraction = "\(scaled % scale)"
    return "\(scaled / scale).\(String(repeating: "0", count: digits - fraction.count))\(fraction)"
}
