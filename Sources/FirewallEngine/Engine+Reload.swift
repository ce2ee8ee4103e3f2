// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
public import FirewallPolicy
public import PacketWire

extension Engine {
    /// Puts a new policy in force, whole. Connections live on; each is judged again at its next packet. A datagram of which
    /// fragments are on their way keeps its verdict, but the rule that gave it has no number any more.
    ///
    /// - Parameters:
    ///   - new: the policy.
    ///   - interfaces: the interfaces in the terms of the new policy.
    ///   - activeSchedules: which of its schedules hold now (`Policy.scheduleActivity`).
    ///   - kept: for each of its rules, which rule of the policy before it is, or -1: its counts go on.
    public mutating func adopt(
        _ new: Policy, interfaces: InterfaceTable, activeSchedules: UInt64, keepingCountsOf kept: [Int32] = []
    ) {
        policy = new
        hot = HotSettings(new)
        unitMarks = UnitMarks(unitMarks.marks, new.units)
        self.interfaces = interfaces
        self.activeSchedules = activeSchedules
        graceEnds = clock.graceEnds(hot.timeouts)
        table.timeouts = hot.timeouts
        fragments.timeouts = hot.timeouts
        fragments.forgetRules()
        held.forgetRules()
        preparePayload()
        prepareCookies()
        prepareLog()
        prepareRates()
        generation &+= 1
        epochs.begin(new.epoch, at: generation)
        carryCounts(to: new.rules.count, keeping: kept)
    }

    /// Admits connections older than now, as after a start: until now their packets did not come here, or a policy left them
    /// untracked (`Policy.tracksMore`). Those known from an earlier time have moved on unseen.
    public mutating func beginColdStart(at now: Instant) {
        notePassedUnseen(at: now)
        clock.agentStarted = now
        graceEnds = clock.graceEnds(hot.timeouts)
    }

    /// Says which schedules hold now (`Policy.scheduleActivity`); a change makes cached decisions void.
    public mutating func setActiveSchedules(_ active: UInt64, at now: Instant) {
        guard active != activeSchedules else { return }
        if activeSchedules & ~active & policy.schedulesOfBypasses != 0 { beginColdStart(at: now) }
        activeSchedules = active
        generation &+= 1
    }

    /// Says what is known of the interfaces; a change makes cached decisions void.
    public mutating func setInterfaces(_ table: InterfaceTable) {
        interfaces = table
        generation &+= 1
    }

    public var policyEpoch: UInt32 { hot.policyEpoch }

    /// Says what one more interface is: one that came up since the last look at them all.
    public mutating func learnInterface(_ index: UInt32, name: String, isLoopback: Bool) {
        interfaces[index] = KnownInterface(traits: policy.traits(ofInterface: name), isLoopback: isLoopback)
    }
}
