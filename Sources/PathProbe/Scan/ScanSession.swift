// SPDX-License-Identifier: GPL-3.0-or-later

/// A whole scan: everything opened at the reflector, then every probe, then what the reflector saw.
package struct ScanSession {
    package let poller: Poller
    package var options: ScanOptions
    /// Nil without a reflector, or offline.
    package var channel: ControlChannel?
    /// Without a control channel, and yet with a reflector that has the same plan and key.
    package var offline: OfflineSessions?
    package var hearsSignals = false

    package init(_ poller: Poller, _ options: ScanOptions, channel: ControlChannel? = nil) {
        self.poller = poller
        self.options = options
        self.channel = channel
    }

    /// Ports that the reflector cannot listen on are not probed: something else has them, and would answer.
    package func run(_ plan: ScanPlan, progress: @escaping (ScanProgress) -> Void) throws -> ScanResult {
        let plan = (channel?.session?.key ?? offline?.planKey).map { plan.resolved($0) } ?? plan
        let jobs = plan.jobs
        // From before the ports listen: who ends the scan then ends it as one that runs.
        let signals = hearsSignals ? try SignalSource(poller) : nil
        let refused = try open(plan)
        let scanner = Scanner(
            poller, options, channel: channel, session: try channel?.session ?? offline?.begin(), signals: signals,
            progress: progress)
        var result = try scanner.run(jobs.filter { refused[$0.number] == nil })
        for (number, reason) in refused {
            result.outcomes.append(
                ProbeOutcome(
                    job: jobs[number], finding: ProbeFinding(.skipped, .refusedByReflector(reason)), local: nil,
                    attempt: 0))
        }
        result.outcomes.sort { $0.job.number < $1.job.number }
        return result
    }

    /// The reflector's reasons, by the numbers of the probes that it cannot take.
    private func open(_ plan: ScanPlan) throws(ControlFault) -> [Int: String] {
        var reasons: [Int: String] = [:]
        guard let channel else { return reasons }
        let context = ProbeContext(poller, ports: LocalPorts(), session: nil)
        for request in plan.requests(source: { context.source(to: $0) }) {
            let answer = try channel.ask(request)
            switch (request, answer) {
            case (.script, .scripted): break
            case (.open(let opening), .opened(let refused)):
                for port in refused {
                    if let index = opening.ports.index(of: port.port) { reasons[opening.first + index] = port.reason }
                }
            default: throw channel.unexpected()
            }
        }
        guard case .ready = try channel.ask(.go) else { throw channel.unexpected() }
        return reasons
    }
}
