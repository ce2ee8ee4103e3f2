// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallEngine
package import PacketWire

/// What a Portreeve agent did to packets between two endpoints, by one of its events.
package struct AgentDrop: Hashable, Sendable {
    /// Where the agent is that says so.
    package enum Side: String, Sendable {
        /// On the host that scans.
        case here
        /// On the reflector's host, which lets the scan know.
        case there
        /// In an events file that was named: anywhere on the path.
        case file
    }

    package var side: Side
    package var transport: Transport
    package var source: Endpoint
    package var destination: Endpoint
    /// "incoming" or "outgoing", as that agent's host sees it.
    package var direction: String
    /// "deny" where the packets went no further; other words where they did, as under tap.
    package var action: String
    package var reason: DropReason
    package var rule: String?
    /// Where the rule stands: "policy.yaml:7"; nil where it is not known any more.
    package var place: String?
    /// How many packets.
    package var count: Int

    package init(
        _ side: Side, _ transport: Transport, from source: Endpoint, to destination: Endpoint, direction: String,
        action: String, reason: DropReason, rule: String?, place: String?, count: Int
    ) {
        self.side = side
        self.transport = transport
        self.source = source
        self.destination = destination
        self.direction = direction
        self.action = action
        self.reason = reason
        self.rule = rule
        self.place = place
        self.count = count
    }

    package var isDrop: Bool { action == "deny" }

    /// Why, in the reason's name. What came to a port that this host listens on has a reason of its own once the agent has looked;
    /// where a reflector listens that says nothing.
    package var cause: String {
        reason == .outOfAllowedPolicyOpenPort ? DropReason.outOfAllowedPolicy.row.name : reason.row.name
    }

    /// What dropped it: `rule "No telnet" (policy.yaml:7)`, or the check of the agent.
    package var author: String {
        if let rule { return "rule \"\(rule)\"" + (place.map { " (\($0))" } ?? "") }
        return cause == DropReason.outOfAllowedPolicy.row.name
            ? "the end of the policy: no rule allows it" : "a check of the agent"
    }

    /// On which host, seen from the scan.
    package var host: String {
        switch side {
        case .here: "this host, \(direction)"
        case .there: "the reflector's host, \(direction)"
        case .file: "the agent's host, \(direction)"
        }
    }
}

/// A Portreeve agent, from the moment on in which the source was made.
package protocol DropSource: AnyObject {
    /// For how long it may keep events back to write like ones together.
    var settling: Instant.Span { get }
    /// All that it has told by now.
    func drops() -> [AgentDrop]
}

/// How sure it is that an event is of a probe's packets.
package enum DropMatch: String, Hashable, Sendable {
    /// The very addresses and ports, either way.
    case certain
    /// Its target, and the one address that knocked there meanwhile, as behind a translation.
    case probable
}

/// An event and how well it fits to a probe.
package struct AttributedDrop: Hashable, Sendable {
    package var drop: AgentDrop
    package var match: DropMatch

    package init(_ drop: AgentDrop, _ match: DropMatch) {
        self.drop = drop
        self.match = match
    }
}

/// The events of all agents that were asked, by the endpoints of their packets.
package struct DropRegister: Sendable {
    private struct Ends: Hashable {
        var transport: Transport
        var source: Endpoint
        var destination: Endpoint
    }

    private struct Goal: Hashable {
        var transport: Transport
        var destination: Endpoint
    }

    private var exact: [Ends: [AgentDrop]] = [:]
    private var arriving: [Goal: [AgentDrop]] = [:]
    package private(set) var count = 0

    package init(_ drops: [AgentDrop] = []) { drops.forEach { add($0) } }

    package mutating func add(_ drop: AgentDrop) {
        count += 1
        let (source, destination) = (drop.source.unscoped, drop.destination.unscoped)
        exact[Ends(transport: drop.transport, source: source, destination: destination), default: []].append(drop)
        arriving[Goal(transport: drop.transport, destination: destination), default: []].append(drop)
    }

    /// Those of a probe, on the way there before those on the way back.
    package func drops(of outcome: ProbeOutcome) -> [AttributedDrop] {
        let (transport, target) = (outcome.job.transport, outcome.job.target.unscoped)
        var found: [AttributedDrop] = []
        for origin in outcome.origins.map(\.unscoped) {
            let there = exact[Ends(transport: transport, source: origin, destination: target)] ?? []
            let back = exact[Ends(transport: transport, source: target, destination: origin)] ?? []
            found += (there + back).map { AttributedDrop($0, .certain) }
        }
        return found.isEmpty ? translated(transport, target, outcome) : found
    }

    /// Behind a translation the far agent saw another sender. Where one address alone knocked at the target's port, it is the
    /// probe.
    private func translated(
        _ transport: Transport, _ target: Endpoint, _ outcome: ProbeOutcome
    ) -> [AttributedDrop] {
        let own = Set(outcome.origins.map { $0.unscoped.with(port: 0) })
        guard !own.isEmpty else { return [] }
        let far = (arriving[Goal(transport: transport, destination: target)] ?? []).filter { $0.side != .here }
        let senders = Set(far.map { $0.source.unscoped.with(port: 0) })
        guard senders.count == 1, senders.isDisjoint(with: own) else { return [] }
        return far.map { AttributedDrop($0, .probable) }
    }
}

extension Endpoint {
    /// Events name no interface with a link-local address.
    fileprivate var unscoped: Endpoint {
        var copy = self
        copy.scope = 0
        return copy
    }
}
