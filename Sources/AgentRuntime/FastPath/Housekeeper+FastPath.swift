// SPDX-License-Identifier: GPL-3.0-or-later

import FastPath
import FirewallEngine
import FirewallPolicy
import Glibc
import Locking
import Logging
import PacketWire

/// Where the agent stands with the fast path.
enum FastPathStanding: Equatable, Sendable {
    /// The policy has it off.
    case off
    case active
    /// Every packet comes to the queue, and why.
    case unavailable(String)
}

/// What the main thread knows of it.
struct FastPathUse {
    fileprivate(set) var maps: FastPathMaps?
    /// Maps that are not in use now. With them goes the array of programs, which this agent may not open again by itself.
    fileprivate var kept: FastPathMaps?
    /// What keeps another agent from the same maps.
    fileprivate var lock: FastPathLock?
    /// A failure is told when it begins, not every time.
    fileprivate var told: String?
}

// `portreeve iptables` loads the program, pins it with its maps, and names it in the rules before the queue's. The agent opens
// the maps by their names; it looks again every second, because rules may come, go, and come anew while it runs.

extension Housekeeper {
    /// Begins or ends to use the maps that are pinned, as the policy says.
    func refreshFastPath(_ policy: Policy) {
        let document = policy.document
        guard document.engine.fastPath != .off, document.queue.family == .ip else { return endFastPath(.off) }
        let directory = FastPathMode.directory
        if let maps = fastPath.maps {
            switch maps.isPinned(in: directory) {
            case true?: return FastPathPins.declineOffer(directory)
            // Somebody has deleted the names: rules that are in place go on working, with the same maps.
            case nil: return
            case false?: endFastPath(.off)
            }
        }
        do {
            try beginFastPath(in: directory)
        } catch {
            endFastPath(.unavailable("\(error)"))
            guard fastPath.told != error.description else { return }
            fastPath.told = error.description
            let isWanted = document.engine.fastPath == .on
            logger.log(level: isWanted ? .warning : .notice, "the fast path is not used: \(error)")
        }
    }

    private func beginFastPath(in directory: String) throws(FastPathError) {
        guard workers.count <= FastPathMaps.cellCount else {
            throw FastPathError("the fast path takes \(FastPathMaps.cellCount) queues at most")
        }
        let lock = try FastPathLock(directory)
        let maps: FastPathMaps
        if let kept = fastPath.kept, kept.isPinned(in: directory) == true {
            maps = kept
        } else {
            maps = try FastPathMaps(pinnedIn: directory)
        }
        try maps.clear()
        let now = Clocks.monotonic()
        for (place, worker) in workers.enumerated() {
            worker.fastPath.withLock { $0 = maps }
            worker.engine.withLock {
                $0.attachFastPath(
                    maps.memory(of: place, among: workers.count), generation: .random(in: 1...(.max / 2)), at: now)
            }
        }
        try maps.connect()
        fastPath = FastPathUse(maps: maps, lock: lock)
        agent.fastPath.withLock { $0 = .active }
        logger.notice("the fast path is used: \(maps.places) flows at most, by \(directory)")
    }

    /// Every flow comes to the queue, and the windows of each are known there, when this returns.
    func endFastPath(_ standing: FastPathStanding) {
        agent.fastPath.withLock { $0 = standing }
        guard let maps = fastPath.maps else { return }
        maps.disconnect()
        closeListeners()
        for worker in workers {
            worker.engine.withLock { $0.detachFastPath(at: Clocks.monotonic()) }
            worker.fastPath.withLock { $0 = nil }
        }
        do { try maps.clear() } catch { logger.warning("\(error)") }
        fastPath = FastPathUse(kept: maps)
    }

    func fastPathWarnings(_ policy: Policy) -> [String] {
        guard policy.document.engine.fastPath == .on, case .unavailable(let why) = agent.fastPath.withLock({ $0 })
        else {
            return []
        }
        return [
            "engine.fast-path is on and cannot be used (\(why)): all packets come to the queue; run \"portreeve iptables "
                + "--apply\", which loads the program"
        ]
    }
}

extension Agent {
    /// For the start of the service: offers what the agent itself may not open, and ends.
    package static func handOverFastPath() throws(AgentError) {
        do { try FastPathPins.offer(FastPathMode.directory) } catch { throw AgentError("\(error)") }
    }
}
