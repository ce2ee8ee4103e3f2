// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import FirewallPolicy
package import PacketWire

extension Engine {
    /// Puts a new policy in force, whole. Connections live on; each is judged again at its next packet. A datagram of which
    /// fragments are on their way keeps its verdict, but the rule that gave it has no number any more.
    ///
    /// - Parameters:
    ///   - new: the policy.
    ///   - interfaces: the interfaces in the terms of the new policy.
    ///   - activeSchedules: which of its schedules hold now (`Policy.scheduleActivity`).
    package mutating func adopt(_ new: Policy, interfaces: InterfaceTable, activeSchedules: UInt64) {
        policy = new
        hot = HotSettings(new)
        self.interfaces = interfaces
        self.activeSchedules = activeSchedules
        graceEnds = clock.graceEnds(hot.timeouts)
        table.timeouts = hot.timeouts
        fragments.timeouts = hot.timeouts
        fragments.forgetRules()
        held.forgetRules()
        generation &+= 1
    }

    /// Says which schedules hold now (`Policy.scheduleActivity`); a change makes cached decisions void.
    package mutating func setActiveSchedules(_ active: UInt64) {
        guard active != activeSchedules else { return }
        activeSchedules = active
        generation &+= 1
    }

    /// Says what is known of the interfaces; a change makes cached decisions void.
    package mutating func setInterfaces(_ table: InterfaceTable) {
        interfaces = table
        generation &+= 1
    }

    /// Bounded upkeep between batches: connections and datagrams whose time is over.
    package mutating func tidy(at now: Instant) {
        table.expire(at: now, atMost: 64)
        fragments.expire(at: now)
    }

    package var policyEpoch: UInt32 { hot.policyEpoch }

    /// Says what one more interface is: one that came up since the last look at them all.
    package mutating func learnInterface(_ index: UInt32, name: String, isLoopback: Bool) {
        interfaces[index] = KnownInterface(traits: policy.traits(ofInterface: name), isLoopback: isLoopback)
    }

    /// How many connections are in which stage.
    package var census: ConnectionCensus { table.census }

    /// Appends the first connection at or after an index and returns where it stands; nil at the end of the table.
    package func connection(from index: ConnectionIndex, into list: inout [Connection]) -> ConnectionIndex? {
        guard let i = table.first(from: index) else { return nil }
        list.append(table[i])
        return i
    }
}
