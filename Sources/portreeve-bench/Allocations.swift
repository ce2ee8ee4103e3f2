// SPDX-License-Identifier: GPL-3.0-or-later

import AllocationCounter
import ArgumentParser
import FirewallEngine
import Glibc

/// Counts the heap allocations that each kind of packet costs in the engine, and fails where they are more than the budget
/// file allows.
struct Allocations: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Heap allocations per packet, against the budget in the repository.")

    @Option(help: "The file with the most allocations for 1,000 packets of each kind.")
    var budget = "Tests/Benchmarks/allocations.txt"

    func run() throws {
        #if DEBUG
            print("a debug build allocates where a release build does not: build with -c release")
            throw ExitCode.failure
        #else
            guard let budget = AllocationBudget(path: budget) else {
                print("\(budget): not found, or not lines of a name, a colon and a number")
                throw ExitCode.failure
            }
            guard countsOwnAllocations() else {
                print("the counter does not count: is another allocator linked or preloaded?")
                throw ExitCode.failure
            }
            var paths: Set<String> = []
            var failures = 0
            for path in AllocationPath.all {
                paths.insert(path.name)
                if !report(path, budget[path.name]) { failures += 1 }
            }
            for name in budget.names where !paths.contains(name) {
                print("\(name): in the budget, but nothing is measured under this name")
                failures += 1
            }
            guard failures == 0 else { throw ExitCode.failure }
        #endif
    }

    /// Whether an array that must be on the heap is counted.
    private func countsOwnAllocations() -> Bool {
        let began = pac_allocations()
        let array = [Int](repeating: Int(began), count: 1000)
        return pac_allocations() - began == 1 && array.count == 1000
    }

    /// False where the path has no budget or is beyond it.
    private func report(_ path: AllocationPath, _ most: Int?) -> Bool {
        do {
            let counted = try path.allocationsPerThousand()
            let isWithin = most.map { counted <= $0 } ?? false
            let allowed = most.map { "\($0)" } ?? "none"
            print("\(isWithin ? "ok    " : "FAILED") \(path.name): \(counted) in 1,000 packets (budget: \(allowed))")
            return isWithin
        } catch {
            print("FAILED \(path.name): \(error.count) of 1,000 packets got another verdict than this path's")
            return false
        }
    }
}

/// The budget file: `name: number` on each line, `#` for comments.
struct AllocationBudget {
    private var most: [String: Int] = [:]
    private(set) var names: [String] = []

    init?(path: String) {
        guard let file = unsafe fopen(path, "r") else { return nil }
        defer { unsafe fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while unsafe fgets(&line, Int32(line.count), file) != nil {
            let text = String(
                decoding: line.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            if text.isEmpty || text.hasPrefix("#") { continue }
            let parts = text.split(separator: ":")
            guard parts.count == 2, let number = Int(parts[1].drop { $0 == " " }) else { return nil }
            most[String(parts[0])] = number
            names.append(String(parts[0]))
        }
    }

    subscript(name: String) -> Int? { most[name] }
}
