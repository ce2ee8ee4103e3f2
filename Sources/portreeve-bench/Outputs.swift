// SPDX-License-Identifier: GPL-3.0-or-later

import ArgumentParser
import ConnectionTracking
import EventLog
import FirewallPolicy
import Glibc
import PacketWire
import TestSupport

/// What outputs cost those who do not write them: the worker, which decides and hands events on. And how many lines the thread of
/// an output writes.
struct Outputs: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Events with every output on: ratios of one run.")

    @Option(help: "Rounds; each scenario runs once in each.")
    var rounds = 9

    @Option(help: "Drops in a round.")
    var drops = 1_000_000

    @Option(help: "Lines in a round.")
    var lines = 200_000

    func run() throws {
        #if DEBUG
            print("a debug build measures nothing: build with -c release")
            throw ExitCode.failure
        #else
            let directory = TemporaryFiles()
            let readers = try Readers(in: directory.path)
            defer { readers.stop() }
            var results = [Series](repeating: Series(), count: OutputScenario.allCases.count)
            var rates = results
            for round in -1..<rounds {
                for (place, scenario) in OutputScenario.allCases.enumerated() {
                    let measured = try scenario.measure(drops, directory, readers)
                    guard round >= 0 else { continue }
                    results[place].values.append(measured.cpu)
                    rates[place].values.append(measured.perSecond)
                }
            }
            for (place, scenario) in OutputScenario.allCases.enumerated() {
                let ratio = results[place].ratios(to: results[0])
                print(
                    "\(scenario.rawValue): \(fixed(results[place].median, 0)) ns of the worker for a drop, "
                        + "\(fixed(ratio.median, 2)) (\(fixed(ratio.least, 2)) - \(fixed(ratio.most, 2))) of no output; "
                        + "\(fixed(rates[place].median, 0)) drops/s accounted")
            }
            var written = Series()
            for _ in 0..<rounds { written.values.append(try OutputScenario.lines(lines, directory)) }
            print(
                "lines of JSON in a file: \(fixed(1e9 / written.median, 0))/s "
                    + "(\(fixed(1e9 / written.most, 0)) - \(fixed(1e9 / written.least, 0)))")
        #endif
    }
}

enum OutputScenario: String, CaseIterable {
    case none = "no output"
    case file = "the event file"
    case capture = "the event file and the capture"
    case all = "file, capture, Unix socket, UDP, TCP"

    private func outputs(_ directory: TemporaryFiles, _ readers: Readers) -> [OutputSettings] {
        var document = PolicyDocument()
        document.events.path = directory.fresh("events")
        if self == .capture || self == .all {
            document.events.capture = CaptureSettings(path: directory.fresh("capture"))
        }
        if self == .all { document.events.syslog = readers.targets.map { SyslogSettings($0) } }
        return document.outputs(spools: directory.path)
    }

    /// CPU time of the worker for one drop, in nanoseconds, and how many drops a second were judged and then found in the account
    /// of every output.
    func measure(
        _ drops: Int, _ directory: TemporaryFiles, _ readers: Readers
    ) throws -> (cpu: Double, perSecond: Double) {
        var document = PolicyDocument()
        let place = SourcePosition(file: "/etc/portreeve/policy.yaml", line: 12, column: 5)
        var rule = Rule(name: "No telnet", action: .deny, priority: 2, direction: .incoming, position: place)
        rule.protocols = Criterion(.number(IPProtocol.tcp))
        document.portLists = [NamedList(name: nil, values: [PortRange(first: 23, last: 23)], position: place)]
        rule.destination.ports = Criterion(0)
        document.rules = [rule]
        if self == .capture || self == .all { document.events.capture = CaptureSettings(path: "/") }
        let outputs = self == .none ? [] : outputs(directory, readers)
        let log = EventLog(workers: 1, fold: .seconds(1), outputs: outputs, host: "web-01", flowSeed: (1, 2))
        let writer = TestThread {
            log.run(
                { LogClock(now: Instant(nanoseconds: OutputScenario.monotonic()), offset: .zero) },
                thread: { _, body in
                    _ = TestThread(body)
                    return true
                })
        }
        var host = Host(document)
        host.queue = self == .none ? nil : log.queues[0]
        let packets = (0..<4096).map { Segments.syn(from: 0x0a00_0000 + UInt32($0) * 7, 40_000, to: 0xc613_0001, 23) }
        let began = (cpu: Stopwatch.cpuNanoseconds(), wall: OutputScenario.monotonic())
        for number in 0..<drops {
            let (bytes, metadata) = packets[number & 4095]
            _ = host.judge(bytes, metadata)
        }
        let events = host.drain()
        let cpu = Double(Stopwatch.cpuNanoseconds() - began.cpu) / Double(drops)
        let wall = Double(OutputScenario.monotonic() - began.wall)
        log.stop()
        writer.join()
        precondition(events > 0)
        for report in log.reports() {
            let total = report.accounting.total
            precondition(total.received == total.written + total.pending + total.lost)
            precondition(total.received > 0 && total.lost == 0 && total.pending == 0, "\(report)")
        }
        return (cpu, Double(drops) / wall * 1e9)
    }

    /// CPU time of one line, from the event in the queue to the file, in nanoseconds.
    static func lines(_ count: Int, _ directory: TemporaryFiles) throws -> Double {
        let path = directory.fresh("lines")
        let settings = OutputSettings(name: "file", format: .json, target: .file(path: path))
        let log = EventLog(workers: 1, fold: .zero, outputs: [settings], host: "web-01", flowSeed: (1, 2))
        let events = try Records.denied(4096)
        var written = 0
        let began = Stopwatch.cpuNanoseconds()
        while written < count {
            log.queues[0].append(events, bytes: [])
            log.step(LogClock(now: Instant(nanoseconds: 1), offset: .zero))
            written += events.count
        }
        let nanoseconds = Double(Stopwatch.cpuNanoseconds() - began) / Double(written)
        precondition(log.reports()[0].accounting.total.written == UInt64(written))
        return nanoseconds
    }

    static func monotonic() -> Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
