// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy
import PacketWire
import PolicyFile

/// Probes that tell whether a policy is in force: for each rule one inside and one outside each border that can be sent (policy
/// segmentation, El-Atawy and Al-Shaer 2005), by the regions by which `check` judges rules.
///
/// Of a probe that is sent its ports, its link and its interface are not always known before. Only probes are planned that fare the same
/// whatever these are.
package struct PolicyPlan {
    package struct Probe: Sendable {
        package let probe: PlannedProbe
        /// The rules that it is sent for, in the order of the files.
        package fileprivate(set) var purposes: [ProbePurpose]
        /// The rule that decides about it, or -1.
        package let rule: Int32
    }

    /// A rule about which no probe can tell, and why.
    package struct Unreached: Sendable {
        package let rule: Int32
        package let reason: String
    }

    package let policy: Policy
    /// By protocol, source and port.
    package private(set) var probes: [Probe] = []
    package private(set) var unreached: [Unreached] = []
    private var places: [PlannedProbe: Int] = [:]

    /// So many intervals of a rule's ports have their borders probed; of a longer list these are the first ones.
    package static let mostIntervals = 64

    /// nil: the rules name interfaces by so many patterns that what names can match was not found out.
    package init?(_ policy: Policy, _ reach: ProbeReach) {
        self.policy = policy
        let zones = SystemTimeZones.zones(of: policy.document)
        let moment = PacketUniverse.Moment(
            unixTime: reach.unixTime, activity: [policy.scheduleActivity(zones, unixTime: reach.unixTime)])
        guard let universe = PacketUniverse([policy], reach.direction, moments: [moment]) else { return nil }
        let ranked = RankedRegions(policy, in: universe)
        let search = ProbeSearch(ranked, reach)
        for index in policy.rules.indices {
            let rule = Int32(index)
            let points = search.points(of: rule)
            if points.isEmpty { unreached.append(Unreached(rule: rule, reason: search.obstacle(of: rule))) }
            for (probe, decider, purpose) in points { add(probe, decider, purpose) }
        }
        probes.sort { $0.probe < $1.probe }
    }

    private mutating func add(_ probe: PlannedProbe, _ decider: Int32, _ purpose: ProbePurpose) {
        if let place = places[probe] {
            if !probes[place].purposes.contains(purpose) { probes[place].purposes.append(purpose) }
        } else {
            places[probe] = probes.count
            probes.append(Probe(probe: probe, purposes: [purpose], rule: decider))
        }
    }

    /// The rules that decide about a probe of the plan.
    package var reached: Set<Int32> { Set(probes.map(\.rule)).subtracting([-1]) }
}

extension PlannedProbe: Comparable {
    package static func < (a: PlannedProbe, b: PlannedProbe) -> Bool {
        if a.isTCP != b.isTCP { return a.isTCP }
        if a.source != b.source { return a.source < b.source }
        if a.destination != b.destination { return a.destination < b.destination }
        return a.port < b.port
    }
}
