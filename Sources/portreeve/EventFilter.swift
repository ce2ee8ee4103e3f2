// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy
import PacketWire

/// Which events are shown.
struct EventFilter {
    /// A criterion that cannot be understood.
    struct Fault: Error {
        var message: String
    }

    private var reasons: Set<Int64> = []
    private var addresses: [AddressRange] = []
    private var rules: Set<String>
    private var actions: Set<String>
    private var since: WallTime?
    private var until: WallTime?

    init(
        reasons: [String], addresses: [String], rules: [String], actions: [String], since: String?, until: String?,
        now: WallTime
    ) throws(Fault) {
        self.rules = Set(rules)
        self.actions = Set(actions)
        for text in reasons {
            guard let reason = DropReason(slug: text) ?? UInt16(text).flatMap({ DropReason(number: $0) }) else {
                throw Fault(message: "there is no reason '\(text)'; \"portreeve reasons\" lists them")
            }
            self.reasons.insert(Int64(reason.row.number))
        }
        for text in addresses {
            guard let range = AddressRange(prefix: text) else {
                throw Fault(message: "'\(text)' is no address and no prefix such as 198.51.100.0/24")
            }
            self.addresses.append(range)
        }
        let known = ["deny", "log-only", "notice", "observed", "tap:deny", "fail-open"]
        if let unknown = actions.first(where: { !known.contains($0) }) {
            throw Fault(message: "there is no action '\(unknown)': \(known.joined(separator: ", "))")
        }
        self.since = try Self.time(since, now)
        self.until = try Self.time(until, now)
    }

    private static func time(_ text: String?, _ now: WallTime) throws(Fault) -> WallTime? {
        guard let text else { return nil }
        if let time = WallTime(parsing: text) ?? ago(text, now) { return time }
        throw Fault(message: "'\(text)' is no time: 2026-11-21, '2026-11-21 09:15', 2026-11-21T09:15:02Z, 15m, 2h, 1d")
    }

    /// "15m": so long before now.
    private static func ago(_ text: String, _ now: WallTime) -> WallTime? {
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        guard let unit = text.last.flatMap({ units[$0] }), let count = Int64(text.dropLast()), count >= 0 else {
            return nil
        }
        let (length, overflow) = count.multipliedReportingOverflow(by: unit * 1_000_000)
        return overflow ? nil : WallTime(microseconds: now.microseconds &- length)
    }

    func admits(_ event: EventRecord) -> Bool {
        if !reasons.isEmpty, !reasons.contains(event.id) { return false }
        if !actions.isEmpty, !actions.contains(event.action) { return false }
        if !rules.isEmpty, !rules.contains(event.rule ?? "") { return false }
        if let since, event.time < since { return false }
        if let until, event.lastTime > until { return false }
        return addresses.isEmpty || [event.source, event.destination].contains(where: isAmongAddresses)
    }

    private func isAmongAddresses(_ text: String?) -> Bool {
        guard let address = text.flatMap({ IPAddress(parsing: $0) }) else { return false }
        return addresses.contains { $0.first <= address && address <= $0.last }
    }
}
