// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import EventLog
import FirewallEngine
import FirewallPolicy
import KernelRules
import Locking
import NetfilterQueue
import PacketWire
import PolicyFile

/// What the workers know of the host and the calendar, brought up to date once a second.
extension Housekeeper {
    /// Interfaces and addresses; workers are told only when something changed. Where the kernel cannot be asked, what was
    /// known stays.
    func refreshNetwork() {
        guard let now = LocalNetwork.read(), now != network else { return }
        network = now
        let table = now.table(policies.current)
        for worker in workers {
            worker.networks.withLock { $0 = now.networks }
            worker.engine.withLock { engine in
                engine.setInterfaces(table)
                engine.hostAddresses = now.hostAddresses
            }
        }
        agent.frames?.adopt(policies.current, table)
        log.setInterfaces(InterfaceNames(Dictionary(uniqueKeysWithValues: now.interfaces.map { ($0.index, $0.name) })))
    }

    func refreshSchedules(_ policy: Policy) {
        guard !policy.document.schedules.isEmpty else { return }
        let active = Housekeeper.activeSchedules(policy)
        for worker in workers { worker.engine.withLock { $0.setActiveSchedules(active, at: Clocks.monotonic()) } }
    }

    static func activeSchedules(_ policy: Policy) -> UInt64 {
        guard !policy.document.schedules.isEmpty else { return 0 }
        return policy.scheduleActivity(SystemTimeZones.zones(of: policy.document), unixTime: Clocks.calendarSeconds())
    }

    /// For the reasons that tell of open ports, and for who opened a connection of which the opening was not seen.
    func refreshListeningPorts() {
        let ports = ListeningSockets.read()
        for worker in workers { worker.engine.withLock { $0.listeningPorts = ports } }
    }

    /// Whether the kernel answers SYNs by cookies, where the policy counts on it. It may be changed at any time.
    func refreshSYNCookies(_ policy: Policy) {
        let cookies = policy.document.stateful.synFlood.usesCookies ? SYNCookies.here : .off
        cookieComplaint = cookies.complaint(policy.document).map { "\($0.text): \($0.cure)" }
        for worker in workers {
            worker.engine.withLock { if $0.hasSYNCookies != (cookies == .on) { $0.hasSYNCookies = cookies == .on } }
        }
    }

    /// A worker that ended though nobody asked it to: the agent ends too, with the failure setting in force, rather than
    /// leave a queue that nobody reads.
    func deadWorker() -> AgentError? {
        for worker in workers {
            switch worker.standing.withLock({ $0 }) {
            case .failed(let why): return AgentError("\(why); ending, since its packets would find no reader")
            case .ended: return AgentError("the worker of queue \(worker.number) ended unexpectedly")
            case .starting, .running: break
            }
        }
        return nil
    }

    /// A queue that was taken from its socket, or given to another: its worker would wait for ever.
    func lostQueue() -> AgentError? {
        guard let table = try? QueueTable.read() else { return nil }
        for queue in agent.queues {
            guard let port = queue.counters.withLock({ $0.kernel?.portID }),
                table.row(of: queue.number)?.portID != port
            else { continue }
            return AgentError("queue \(queue.number) is not bound to this agent any more; ending, to be started anew")
        }
        return nil
    }
}
