// SPDX-License-Identifier: GPL-3.0-or-later

import EventLog
import Logging

/// What the agent's own log says of the event file: a gap in the events is not noticed in the events.
extension Housekeeper {
    /// Once a second: that the file takes no events, and that it takes them again.
    func reportEventFile() {
        let trouble = log.fileState().trouble?.description
        guard trouble != eventFileTrouble else { return }
        eventFileTrouble = trouble
        if let trouble {
            logger.warning("\(trouble)")
        } else {
            logger.notice("events are written again")
        }
    }

    /// When the writer has ended: what it could not write is gone.
    func reportLostEvents() {
        let lost = log.accounting().total.lost
        guard lost > 0 else { return }
        let why = log.fileState().trouble.map { ": \($0)" } ?? ""
        logger.warning("\(lost) events were not written\(why)")
    }
}
