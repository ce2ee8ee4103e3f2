// SPDX-License-Identifier: GPL-3.0-or-later

import ArgumentParser
import ConnectionTracking
import FastPath
import PacketWire

/// What it costs a worker to tell the kernel of a flow that comes to the fast path, and of one that leaves it.
struct FlowUpdates: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Processor time per flow that is put into the fast path's maps and taken out again; takes root.")

    @Option(help: "The program for the kernel.")
    var program = ".build/fastpath.o"

    @Option(help: "Rounds.")
    var rounds = 200

    func run() throws {
        #if DEBUG
            print("a debug build measures nothing: build with -c release")
            throw ExitCode.failure
        #else
            let maps = try FastPathMaps(loading: program, flows: 65_536)
            for size in [1, 4, 32, 256] {
                var (puts, removals) = (Series(), Series())
                for round in 0..<rounds {
                    let keys = (0..<size).map { key(UInt32(round * size + $0)) }
                    puts.values.append(measure(keys.map { .put($0, place: 0, generation: 1) }, maps))
                    removals.values.append(measure(keys.map { .remove($0) }, maps))
                }
                let (put, most, removed) = (puts.median / 1000, puts.most / 1000, removals.median / 1000)
                print(
                    "\(size) at once: \(fixed(put, 2)) µs per flow to put (most \(fixed(most, 2))), "
                        + "\(fixed(removed, 2)) to take out")
            }
        #endif
    }

    /// Nanoseconds per flow.
    private func measure(_ changes: [FastPathChange], _ maps: FastPathMaps) -> Double {
        var batch = FastPathBatch()
        let began = Stopwatch.cpuNanoseconds()
        batch.carryOut(changes, in: maps) { _ in }
        return Double(Stopwatch.cpuNanoseconds() - began) / Double(changes.count)
    }

    private func key(_ number: UInt32) -> ConnectionKey {
        ConnectionKey(
            lowAddress: IPAddress(v4: 0xc000_0200), highAddress: IPAddress(v4: 0xc612_0000 + number),
            lowPortOrIdentifier: 443, highPortOrIdentifier: UInt16(truncatingIfNeeded: number), protocolNumber: 6,
            version: 4, queryType: 0)
    }
}
