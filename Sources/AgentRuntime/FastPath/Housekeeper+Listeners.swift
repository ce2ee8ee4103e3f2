// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FastPath
import FirewallEngine
import FirewallPolicy
import Locking
import PacketWire
import Synchronization

/// The listeners to which SYNs pass before the queue.
struct OpenListeners {
    /// How many SYNs to each had passed when it was last asked.
    fileprivate var passed: [ListenerAddress: UInt64] = [:]
    /// What the kernel holds them by. A policy that comes into force begins another.
    fileprivate var epoch: UInt32 = .random(in: 1...(.max / 2))
}

// In a flood of SYNs the queue is what is full first. So those to a listener that is in cookie mode pass before it, where the
// policy admits them from any source, whatever else there may be to know of a packet (`Policy.isOpenToAll`). The ACK that may follow
// comes to whichever worker, hence all are in cookie mode then. A policy closes all of it before it comes into force, and so does
// the block of a source, whose SYNs would pass; a lease when the agent hangs or dies.

extension Housekeeper {
    /// The main thread comes by once a second.
    private static let lease = Instant.Span.milliseconds(2_500)

    /// Opens listeners that are flooded, closes those that are so no longer, and tells the workers what has passed.
    func refreshOpenListeners(_ policy: Policy) {
        guard let maps = fastPath.maps, policy.document.stateful.synFlood.usesCookies, cookieComplaint == nil,
            blocks.blocks.isEmpty
        else {
            return closeListeners()
        }
        let now = Clocks.monotonic()
        let due = dueListeners(policy)
        for listener in openListeners.passed.keys where !due.contains(listener) { close(listener, maps) }
        for listener in due {
            let isKnown = tell(workers, of: listener, newlyPassed: newlyPassed(listener, maps), at: now)
            guard isKnown else {
                close(listener, maps)
                continue
            }
            guard openListeners.passed[listener] == nil, openListeners.passed.count < FastPathMaps.listenerLimit else {
                continue
            }
            if openListeners.passed.isEmpty { maps.beginListeners(epoch: openListeners.epoch) }
            if maps.openListener(listener, epoch: openListeners.epoch) { openListeners.passed[listener] = 0 }
        }
        if !openListeners.passed.isEmpty { maps.setListenerLease(until: now + Self.lease) }
    }

    /// Every SYN comes to the queue when this returns.
    func closeListeners() {
        guard !openListeners.passed.isEmpty, let maps = fastPath.maps else { return }
        openListeners.epoch &+= 1
        maps.beginListeners(epoch: openListeners.epoch)
        for listener in openListeners.passed.keys { close(listener, maps) }
    }

    private func close(_ listener: ListenerAddress, _ maps: FastPathMaps) {
        _ = newlyPassed(listener, maps)
        maps.closeListener(listener)
        openListeners.passed[listener] = nil
    }

    /// Those in cookie mode, with any worker, to which the policy admits everybody.
    private func dueListeners(_ policy: Policy) -> Set<ListenerAddress> {
        var due: Set<ListenerAddress> = []
        for worker in workers {
            for flooded in worker.engine.withLock({ $0.floodedListeners }) {
                due.insert(
                    ListenerAddress(address: flooded.address, port: flooded.port, version: flooded.version))
            }
        }
        return due.filter { policy.isOpenToAll(address: $0.address, port: $0.port, version: $0.version) }
    }

    private func newlyPassed(_ listener: ListenerAddress, _ maps: FastPathMaps) -> UInt64 {
        guard let before = openListeners.passed[listener], let now = maps.openings(of: listener) else { return 0 }
        openListeners.passed[listener] = now
        agent.openingsInKernel.wrappingAdd(now &- before, ordering: .relaxed)
        return now &- before
    }

    /// Each worker takes its share of what has passed; nobody knows whose it was. False where one has no room for the listener.
    private func tell(
        _ workers: [Worker], of listener: ListenerAddress, newlyPassed: UInt64, at now: Instant
    ) -> Bool {
        let share = UInt32(clamping: newlyPassed / UInt64(workers.count))
        return workers.reduce(true) { areKnown, worker in
            worker.engine.withLock {
                $0.beginCookies(
                    to: listener.address, listener.port, version: listener.version, passed: share, at: now)
            } && areKnown
        }
    }
}
