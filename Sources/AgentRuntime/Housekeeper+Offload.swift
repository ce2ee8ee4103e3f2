// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import Glibc
import NetfilterQueue
import Synchronization

/// Where the agent stands with the flows that the kernel accepts by their connection marks.
enum OffloadStanding: Equatable {
    /// The policy offloads nothing.
    case unused
    case active
    /// Marks of an older policy might still be there, and why they could not be cleared. No flow is offloaded meanwhile.
    case blocked(String)
}

/// What the main thread knows of it.
struct Offload {
    var standing = OffloadStanding.unused
    /// The marks of offloaded flows are to be cleared once more.
    var isStale = false
}

// A mark outlives the policy that gave it, and the rules that honour it are not the agent's to change. So whenever a policy
// comes into force the marks of all connections are cleared, while no worker gives new ones: the next packet of each flow
// comes to the queue and is judged by the new policy.

extension Housekeeper {
    /// No worker gives a mark from now on, and those that were given are with their connections when this returns: a verdict
    /// takes its packet through the following hooks before the system call that carries it is over.
    func pauseOffload() {
        for worker in workers { worker.mayOffload.store(false, ordering: .releasing) }
        for worker in workers {
            // The turn that is under way, and one that has begun before it could see the change. A worker that hangs is the
            // watchdog's business.
            let enough = worker.turns.load(ordering: .acquiring) &+ 2
            for _ in 0..<1000 where worker.isRunning && worker.turns.load(ordering: .acquiring) < enough {
                worker.wake()
                usleep(1000)
            }
        }
    }

    /// Clears what an older policy left, and offloads again if this one says so.
    func resumeOffload(_ policy: Policy) {
        let isWanted = !policy.document.offloadedDirections.isEmpty
        // At the start another agent may have left some.
        let wasUsed = offload.standing != .unused
        guard isWanted || wasUsed || Housekeeper.tracksConnections else { return }
        do {
            try ConnectionMarks.clear(MarkLayout(mask: policy.document.queue.markMask).offload)
        } catch {
            // Where nothing could be marked nothing has to be cleared.
            guard isWanted || wasUsed else { return }
            offload.standing = .blocked(
                "the connection marks of offloaded flows cannot be cleared (ctnetlink: \(error))")
            return
        }
        offload.standing = isWanted ? .active : .unused
        for worker in workers { worker.mayOffload.store(isWanted, ordering: .releasing) }
    }

    /// A second after a policy came into force, once more: a packet that another program had in hand meanwhile may have
    /// carried an old mark past the first time. And again as long as the marks could not be cleared.
    func refreshOffload() {
        guard offload.isStale || !offloadWarnings.isEmpty else { return }
        offload.isStale = false
        pauseOffload()
        resumeOffload(policies.current)
    }

    var offloadWarnings: [String] {
        guard case .blocked(let why) = offload.standing else { return [] }
        return ["\(why): no flow is offloaded, and flows offloaded before go on unjudged: load nf_conntrack_netlink"]
    }

    /// Whether this network namespace has connections to mark; asking ctnetlink would load it.
    private static var tracksConnections: Bool {
        unsafe access("/proc/sys/net/netfilter/nf_conntrack_count", F_OK) == 0
    }
}
