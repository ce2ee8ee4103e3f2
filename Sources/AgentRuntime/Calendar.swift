// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

/// Reads the time zones that a policy's schedules name.
enum Calendar {
    /// A zone whose file is missing or unreadable is UTC, as for the C library.
    static func zones(of policy: Policy) -> CalendarZones {
        var zones = CalendarZones()
        for name in policy.document.timeZones {
            guard let path = name.zoneinfoPath, let bytes = SmallFile.readBytes(path) else { continue }
            if let rules = try? TimeZoneRules(tzif: bytes) { zones[name] = rules }
        }
        return zones
    }
}
