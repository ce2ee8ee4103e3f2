// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallEngine

extension JSONLines {
    /// EVE's object of a flow that ended: what either side has sent, and of a single one when it was, in EVE's words. The server
    /// is who was spoken to.
    static func appendAccount(_ account: FlowAccount, to json: inout JSONText) {
        json.beginObject("flow")
        json.field("pkts_toserver", account.ofOriginator.packets)
        json.field("pkts_toclient", account.ofResponder.packets)
        json.field("bytes_toserver", account.ofOriginator.bytes)
        json.field("bytes_toclient", account.ofResponder.bytes)
        if let times = account.times {
            json.field("start", CalendarTime(unixNanoseconds: times.opened).text)
            json.field("end", CalendarTime(unixNanoseconds: times.lastPacket).text)
            json.field("age", UInt64(max(0, account.duration ?? 0) / 1_000_000_000))
            if let ending = account.ending { json.field("state", ending.state(isEstablished: times.isEstablished)) }
        }
        json.field("reason", ifPresent: account.ending?.eveReason)
        json.endObject()
    }

    /// How it ended, in the firewall's own words.
    static func appendEnding(_ account: FlowAccount, to json: inout JSONText) {
        json.field("ended", ifPresent: account.ending?.text)
        json.field("timeout", ifPresent: account.timeout)
        if let duration = account.duration { json.field("duration_ns", UInt64(duration)) }
    }
}

extension ConnectionEnding {
    fileprivate func state(isEstablished: Bool) -> String {
        self == .fin || isReset ? "closed" : isEstablished ? "established" : "new"
    }

    fileprivate var eveReason: String? {
        switch self {
        case .fin, .resetByOriginator, .resetByResponder: nil
        case .idle: "timeout"
        case .policy, .evicted, .limit, .replaced: "forced"
        case .agent: "shutdown"
        }
    }
}
