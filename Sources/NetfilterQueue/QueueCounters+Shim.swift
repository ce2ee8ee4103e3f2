// SPDX-License-Identifier: GPL-3.0-or-later

import CQueueShim

extension QueueCounters {
    init(_ counters: prq_counters) {
        socketOverflows = counters.socket_overflows
        refusedVerdicts = counters.refused_verdicts
        lastRefusal = Self.number(counters.last_refusal)
        sends = counters.sends
        sentMessages = counters.sent_messages
        failedSends = counters.failed_sends
        lastSendFailure = Self.number(counters.last_send_failure)
        unsentVerdicts = counters.unsent_verdicts
        malformedMessages = counters.malformed_messages
    }

    private static func number(_ errno: Int32) -> SystemErrorNumber? {
        errno == 0 ? nil : SystemErrorNumber(rawValue: errno)
    }
}
