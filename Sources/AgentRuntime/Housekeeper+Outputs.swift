// SPDX-License-Identifier: GPL-3.0-or-later

import EventLog
import Logging

/// What the agent's own log says of the outputs of events: a gap in the events is not noticed in the events.
extension Housekeeper {
    /// Once a second: that an output takes no events or is not as the policy says, and that this is over.
    func reportOutputs() {
        let reports = log.reports()
        for report in reports where report.complaint != outputTroubles[report.name] {
            if let complaint = report.complaint {
                logger.warning("\(complaint)")
            } else {
                logger.notice("events are written again as they should be: \(report.target)")
            }
        }
        outputTroubles = Dictionary(
            uniqueKeysWithValues: reports.compactMap { report in
                report.complaint.map { (report.name, $0) }
            })
    }

    /// When the writer has ended: what an output did not take is gone.
    func reportLostEvents() {
        for report in log.reports() {
            let total = report.accounting.total
            // What is pending even now waits for a disk that does not answer.
            let lost = total.lost &+ (total.pending &- min(total.pending, report.spooled))
            if report.spooled > 0 { logger.notice("\(report.spooled) events wait on disk for \(report.target)") }
            guard lost > 0 else { continue }
            logger.warning("\(lost) events were not written: \(report.trouble ?? report.target)")
        }
    }
}
