// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import Locking
import PacketWire

extension Housekeeper {
    /// What judging a packet would read at this moment. By the thread that puts policies in force, so that all of it is of one
    /// policy; each worker is asked under its lock, for two look-ups.
    func scene(_ query: SceneQuery) -> SceneReport {
        let packet = query.packet
        let policy = policies.current
        let index = network.interfaces.first { $0.name == query.interface }?.index ?? 0
        let now = Clocks.monotonic()
        var told = workers[0].engine.withLock { $0.circumstances(of: packet, on: index, at: now) }
        for worker in workers { worker.engine.withLock { $0.tell(of: packet, into: &told) } }
        if let unclaimed = agent.unclaimed.withLock({ $0 }) {
            for key in packet.keys where !told.connections.contains(where: { $0.key == key }) {
                if let connection = unclaimed.find(key, at: now) { told.connections.append(connection) }
            }
        }
        // A packet may have come meanwhile.
        told.now = Clocks.monotonic()
        var report = SceneReport(
            policyEpoch: policy.epoch, policyPath: policy.document.files.first ?? options.policyPath, told)
        let wanted = [index] + told.connections.map(\.openingInterface)
        report.interfaces = network.interfaces.filter { wanted.contains($0.index) }.map {
            SceneReport.Interface(index: $0.index, name: $0.name, isLoopback: $0.isLoopback)
        }
        return report
    }
}
