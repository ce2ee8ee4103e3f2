// SPDX-License-Identifier: GPL-3.0-or-later

import AgentMetrics
import FirewallPolicy
import Logging

/// The metrics servers that run, and why others do not.
struct MetricsServers {
    fileprivate var running: [MetricsEndpoint: MetricsServer] = [:]
    fileprivate var troubles: [MetricsEndpoint: String] = [:]

    var complaints: [String] { troubles.values.sorted() }

    mutating func stop() {
        for server in running.values { server.stop() }
        running = [:]
    }
}

extension Housekeeper {
    /// Brings the servers to what the policy asks for. Called once a second: an address in use is tried again, for a
    /// firewall neither refuses to start nor ends because nobody can watch it.
    func refreshMetrics(_ policy: Policy) {
        var wanted = [MetricsEndpoint.unix(options.metricsPath)]
        if let listen = policy.document.metrics.listen { wanted.append(.loopback(listen)) }
        for (endpoint, server) in metrics.running where !wanted.contains(endpoint) {
            server.stop()
            metrics.running[endpoint] = nil
        }
        metrics.troubles = metrics.troubles.filter { wanted.contains($0.key) }
        for endpoint in wanted where metrics.running[endpoint] == nil { start(endpoint, policy) }
    }

    private func start(_ endpoint: MetricsEndpoint, _ policy: Policy) {
        let mark = MarkLayout(mask: policy.document.queue.markMask).ownTraffic
        do {
            metrics.running[endpoint] = try MetricsServer(endpoint, mark: mark) { [agent] in
                MetricsSample(AgentSnapshot(agent))
            }
            if metrics.troubles.removeValue(forKey: endpoint) != nil {
                logger.notice("metrics are served: \(endpoint)")
            }
        } catch {
            if metrics.troubles.updateValue("\(error)", forKey: endpoint) != "\(error)" { logger.warning("\(error)") }
        }
    }
}
