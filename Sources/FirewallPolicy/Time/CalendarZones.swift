// SPDX-License-Identifier: GPL-3.0-or-later

/// The time zones that the schedules of a policy name, as the caller read them from the system.
public struct CalendarZones: Sendable {
    private var zones: [TimeZoneName: TimeZoneRules] = [:]

    public init() {}

    /// A zone that was not set is UTC, as for the C library where /etc/localtime is missing. Whether a named zone exists is
    /// asked before a policy is put into force.
    public subscript(name: TimeZoneName) -> TimeZoneRules {
        get { zones[name] ?? .utc }
        set { zones[name] = newValue }
    }
}

extension TimeZoneName {
    /// Where the system keeps the zone; nil for UTC, which needs no file, and for a name that is no zone's.
    public var zoneinfoPath: String? {
        switch self {
        case .local: "/etc/localtime"
        case .named("UTC"): nil
        case .named(let name): TimeZoneName.isPlausible(name) ? "/usr/share/zoneinfo/" + name : nil
        }
    }

    /// Whether a name is made like those of the IANA database: parts of letters, digits, `_`, `+` and `-`. Nothing else may
    /// become part of a path.
    public static func isPlausible(_ name: String) -> Bool {
        name.split(separator: "/", omittingEmptySubsequences: false).allSatisfy { part in
            !part.isEmpty && part.utf8.allSatisfy { TimeZoneName.characters.contains($0) }
        }
    }

    private static let characters = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-".utf8)
}

extension PolicyDocument {
    /// The time zones that `CalendarZones` has to know for this document.
    public var timeZones: Set<TimeZoneName> {
        let local: [TimeZoneName] = schedules.contains { $0.end?.isLocal == true } ? [.local] : []
        return Set(schedules.map(\.timeZone) + local)
    }
}
