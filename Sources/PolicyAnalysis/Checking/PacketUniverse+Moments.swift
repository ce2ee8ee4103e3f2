// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy

extension PacketUniverse {
    /// So many changes of schedules are looked at: a year's of a policy with dozens of schedules.
    private static let mostChanges = 100_000

    /// Every combination of schedules that holds at some time of the year that follows, each with its first moment; none where there
    /// are no schedules, and any moment is like another.
    package static func moments(_ policies: [(Policy, CalendarZones)], from now: Int64) -> [Moment] {
        guard policies.contains(where: { !$0.0.document.schedules.isEmpty }) else { return [] }
        var seen: Set<[UInt64]> = []
        var moments: [Moment] = []
        var time = now
        for _ in 0..<mostChanges {
            let activity = policies.map { $0.0.scheduleActivity($0.1, unixTime: time) }
            if seen.insert(activity).inserted { moments.append(Moment(unixTime: time, activity: activity)) }
            let next = policies.compactMap { $0.0.nextScheduleChange($0.1, after: time) }.min()
            guard let next, next < now + 366 * 86_400 else { break }
            time = next
        }
        return moments
    }
}
