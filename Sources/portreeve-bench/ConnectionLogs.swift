// SPDX-License-Identifier: GPL-3.0-or-later

import ArgumentParser
import ConnectionTracking
import EventLog
import FirewallEngine
import FirewallPolicy
import Glibc
import PacketWire
import Synchronization
import TestSupport

/// Connections that are logged, from their SYN to their last ACK, at a pace: the engine, its queue, the writer's thread and a file.
struct ConnectionLogs: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "connections", abstract: "Connections logged at a pace: what is accounted, and what it costs.")

    @Option(help: "Connections to open and to close in a second.")
    var rate = 100_000

    @Option(help: "Seconds.")
    var seconds = 5

    @Option(help: "Where the records go; the file is removed.")
    var file = "/tmp/portreeve-bench-connections.jsonl"

    func run() throws {
        #if DEBUG
            print("a debug build measures nothing: build with -c release")
            throw ExitCode.failure
        #else
            for isLogged in [false, true] { try measure(isLogged) }
        #endif
    }

    /// Packets of so many connections at once, as often as the pace wants it.
    private static let connectionsAtOnce = 100

    private func measure(_ isLogged: Bool) throws {
        var document = PolicyDocument()
        if isLogged {
            document.events.newConnections = .tcp
            document.events.closedConnections = .tcp
        }
        var packets = Segments.conversations(rate)
        let log = EventLog(
            workers: 1, fold: .seconds(1),
            outputs: [OutputSettings(name: "file", format: .json, target: .file(path: file))], host: "bench",
            flowSeed: (9, 10))
        defer { _ = unsafe unlink(file) }
        try log.open()
        let writer = TestThread {
            log.run({ LogClock(now: Stopwatch.now(), offset: .seconds(1_795_252_502)) }) { _, body in
                _ = TestThread(body)
                return true
            }
        }
        var host = Host(document)
        host.queue = log.queues[0]
        let cpu = Stopwatch.cpuNanoseconds()
        let (judged, took) = pace(&host, &packets)
        let spent = Stopwatch.cpuNanoseconds() - cpu
        _ = host.drain()
        log.stop()
        writer.join()
        report(log, judged: judged, took: took, spent: spent, isLogged)
    }

    /// Packets that passed, and how long that took. Each second has clients of another network.
    private func pace(_ host: inout Host, _ packets: inout [Segments.Packet]) -> (judged: Int, seconds: Double) {
        let began = Stopwatch.now()
        let total = rate * seconds
        var (opened, place, judged) = (0, 0, 0)
        while opened < total {
            let due = Int((Stopwatch.now() - began).nanoseconds / 1_000) * rate / 1_000_000
            guard due - opened >= ConnectionLogs.connectionsAtOnce else {
                usleep(200)
                continue
            }
            host.begin(at: Stopwatch.now())
            for _ in 0..<8 * ConnectionLogs.connectionsAtOnce {
                let isAnswer = packets[place].metadata.hook == .output
                packets[place].bytes[isAnswer ? 17 : 13] = UInt8(truncatingIfNeeded: 20 + opened / rate)
                if host.judge(packets[place].bytes, packets[place].metadata) == .pass { judged += 1 }
                place = place + 1 == packets.count ? 0 : place + 1
            }
            opened += ConnectionLogs.connectionsAtOnce
        }
        return (judged, Double((Stopwatch.now() - began).nanoseconds) / 1e9)
    }

    private func report(_ log: EventLog, judged: Int, took: Double, spent: Int64, _ isLogged: Bool) {
        let total = rate * seconds
        print(
            "\(isLogged ? "logged" : "not logged"): \(total) connections in \(fixed(took, 2)) s, \(judged) packets passed, "
                + "\(fixed(Double(spent) / Double(total) / 1000, 2)) µs of the judging thread for each connection")
        guard isLogged, let accounting = log.reports().first?.accounting else { return }
        for (what, reason) in [("opened", DropReason.newConnection), ("closed", .connectionClosed)] {
            let terms = accounting[reason, .notice]
            print(
                "  \(what): \(terms.received) received, \(terms.written) written in \(terms.records) records, "
                    + "\(terms.pending) pending, \(terms.lost) lost")
        }
    }
}
