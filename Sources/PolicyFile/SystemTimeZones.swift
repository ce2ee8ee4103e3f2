// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy

/// Reads the time zones that a policy's schedules name from the system's database.
package enum SystemTimeZones {
    /// A zone whose file is missing or unreadable is UTC, as for the C library.
    package static func zones(of document: PolicyDocument) -> CalendarZones {
        var zones = CalendarZones()
        for name in document.timeZones {
            guard let path = name.zoneinfoPath, let bytes = try? readFile(path, atMost: 1 << 20) else { continue }
            if let rules = try? TimeZoneRules(tzif: bytes) { zones[name] = rules }
        }
        return zones
    }
}
