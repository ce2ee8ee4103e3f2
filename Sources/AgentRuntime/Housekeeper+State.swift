// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import Locking
import Logging
import PacketWire
import Synchronization

/// What the main thread remembers of the state file.
struct StateKeeping {
    var due: Instant
    /// A failure is told when it begins, not every time.
    var hasFailed = false
}

extension Housekeeper {
    /// How often connections are written down for a run that follows a crash.
    private static let stateEvery = Instant.Span.seconds(30)
    /// So many connections are copied under a worker's lock at a time: some microseconds.
    private static let connectionsAtOnce = 128

    private var stateFile: StateFile { StateFile(path: options.statePath) }

    /// Once a second: for a crash, who opened what to whom.
    func refreshState() {
        let now = Clocks.monotonic()
        guard stateKeeping.due <= now else { return }
        stateKeeping.due = now + Housekeeper.stateEvery
        writeState(.outline)
    }

    /// After the workers' last verdict: everything, for the next run. What cannot be handed over ends with this one.
    func handConnectionsOver() {
        if writeState(.exact) { return }
        for worker in workers { worker.endConnections(as: .agent) }
        agent.unclaimed.withLock { $0 }?.endAll(as: .agent)
        reportUnclaimedEnds()
    }

    /// False where it cannot be written.
    @discardableResult
    private func writeState(_ form: ConnectionRecord.Form) -> Bool {
        guard let boot = BootIdentity.current else { return false }
        let header = StateHeader(
            form: form, workers: UInt16(workers.count), boot: boot, writtenAt: Clocks.sinceBoot())
        do {
            var writer = try StateFileWriter(stateFile, header)
            for (place, worker) in workers.enumerated() {
                try append(to: &writer, worker: UInt16(place)) { index, list in
                    worker.engine.withLock {
                        $0.connections(from: index, atMost: Housekeeper.connectionsAtOnce, into: &list)
                    }
                }
            }
            if let unclaimed = agent.unclaimed.withLock({ $0 }) {
                try append(to: &writer, worker: StateFormat.noWorker) { index, list in
                    unclaimed.connections(from: index, atMost: Housekeeper.connectionsAtOnce, into: &list)
                }
            }
            try writer.finish()
            stateKeeping.hasFailed = false
            return true
        } catch {
            if !stateKeeping.hasFailed { logger.warning("connections would not survive a restart: \(error)") }
            stateKeeping.hasFailed = true
            return false
        }
    }

    private func append(
        to writer: inout StateFileWriter, worker: UInt16,
        _ next: (ConnectionIndex, inout [Connection]) -> ConnectionIndex?
    ) throws(StateFile.Trouble) {
        var list: [Connection] = []
        list.reserveCapacity(Housekeeper.connectionsAtOnce)
        var index: ConnectionIndex? = 0
        while let from = index {
            index = next(from, &list)
            for connection in list { try writer.append(connection, worker: worker) }
            list.removeAll(keepingCapacity: true)
        }
    }

    /// Before the first packet: the connections of the run before, if what it wrote can be believed. A state is used once;
    /// the next one is written a second later.
    func restoreConnections() {
        guard let boot = BootIdentity.current else { return }
        let isSeamless = agent.queues.allSatisfy(\.isSeamless)
        let now = Clocks.monotonic()
        var restored = 0
        var lost = 0
        do {
            var form: ConnectionRecord.Form?
            let isThere = try stateFile.read(boot: boot) { header, place, connection in
                form = header.form
                var connection = connection
                if header.form == .exact && !isSeamless {
                    guard connection.isWorthRemembering else {
                        workers[0].engine.withLock { $0.noteEnd(of: connection, as: .agent) }
                        return
                    }
                    connection.forgetWindows(at: now)
                }
                if admit(connection, place, of: header, at: now) { restored += 1 } else { lost += 1 }
            }
            stateFile.remove()
            guard isThere else { return }
            let how = form == .exact && isSeamless ? "exactly" : "with windows to be learnt anew"
            logger.notice("\(restored) connections of the run before go on\(restored > 0 ? " \(how)" : "")")
            if lost > 0 { logger.notice("\(lost) others are over, or have no room") }
        } catch {
            logger.warning("connections of the run before are forgotten: \(error)")
            stateFile.remove()
        }
    }

    /// With as many workers as before each gets its own again: the kernel's hash keeps its secret until the next boot.
    private func admit(_ connection: Connection, _ place: UInt16, of header: StateHeader, at now: Instant) -> Bool {
        if workers.count == 1 { return workers[0].engine.withLock { $0.restore(connection, at: now) } }
        if Int(header.workers) == workers.count, Int(place) < workers.count {
            return workers[Int(place)].engine.withLock { $0.restore(connection, at: now) }
        }
        return unclaimedConnections().add(connection, at: now)
    }

    /// The table of those that the kernel will give to one worker or another; made at the first one.
    private func unclaimedConnections() -> UnclaimedConnections {
        if let known = agent.unclaimed.withLock({ $0 }) { return known }
        let document = policies.current.document
        var random = SystemRandomNumberGenerator()
        let made = UnclaimedConnections(
            capacity: Engine.capacity(document.engine.limits), timeouts: document.engine.timeouts,
            seed: (random.next(), random.next()), shared: agent.shared)
        made.logEnds(of: document.events.closedConnections, isOn: document.keepsConnectionLog)
        agent.unclaimed.withLock { $0 = made }
        for worker in workers { worker.engine.withLock { $0.unclaimed = made } }
        return made
    }

    /// Gives the ends of those that nobody has claimed to a worker, which tells them.
    private func reportUnclaimedEnds() {
        guard let table = agent.unclaimed.withLock({ $0 }) else { return }
        let now = Clocks.monotonic()
        while let ended = table.takeEnded() {
            workers[0].engine.withLock { engine in
                engine.report(ended, at: now)
                workers[0].handOver(&engine, at: now)
            }
        }
    }

    /// Ends them when their time is over, and the table with the last one.
    func refreshUnclaimed() {
        guard let table = agent.unclaimed.withLock({ $0 }) else { return }
        table.tidy(at: Clocks.monotonic())
        reportUnclaimedEnds()
        guard table.census.total == 0 else { return }
        agent.unclaimed.withLock { $0 = nil }
        for worker in workers { worker.engine.withLock { $0.unclaimed = nil } }
    }
}

/// The kernel's id of this boot.
enum BootIdentity {
    /// Its 32 digits.
    static var text: String? {
        let digits = SmallFile.read("/proc/sys/kernel/random/boot_id")?.filter { $0.isHexDigit }
        return digits?.count == 32 ? digits : nil
    }

    static var current: (high: UInt64, low: UInt64)? {
        guard let digits = text, let high = UInt64(digits.prefix(16), radix: 16),
            let low = UInt64(digits.suffix(16), radix: 16)
        else { return nil }
        return (high, low)
    }
}
