// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ConnectionTracking
import FirewallPolicy
import PacketFilterRules
import PolicyFile

/// Whether the host is protected: by an agent that answers, and rules that give it what its policy is about.
struct HostProtection {
    enum State: String {
        case protected
        /// Everything is judged and recorded, nothing is dropped.
        case tap
        /// Some packets that the policy is about are not judged, or not as it says.
        case partly
        /// No rule gives packets to a queue.
        case unprotected = "none"
        /// The rules in place cannot be read.
        case unknown
    }

    let state: State
    /// What is wrong, one sentence each, or what comes to the queues.
    let details: [String]

    /// Beside an agent that gave this report.
    init(_ report: StatusReport) {
        do {
            self.init(report, try NamespaceRules.read())
        } catch {
            self.init(state: .unknown, details: ["the rules in place cannot be read: \(error)"])
        }
    }

    init(state: State, details: [String]) {
        self.state = state
        self.details = details
    }

    private init(_ report: StatusReport, _ rules: NamespaceRules) {
        let policy = Self.policy(of: report)
        let inspection = rules.inspection(of: policy)
        let refusals =
            inspection.findings.filter { $0.severity == .refusal || $0.severity == .gap }
            .map { "\($0.text): \($0.cure)" } + Self.openness(policy)
        if inspection.feeds.isEmpty {
            self.init(
                state: .unprotected,
                details: [#"no rule gives packets to a queue; run "portreeve iptables --apply""#])
        } else if !refusals.isEmpty {
            self.init(state: .partly, details: refusals)
        } else {
            let misfits = inspection.findings.filter { $0.severity == .misfit }.map(\.text)
            self.init(
                state: report.mode == .tap ? .tap : .protected, details: [Self.places(inspection.feeds)] + misfits)
        }
    }

    /// A policy by which everything comes in protects nothing.
    private static func openness(_ policy: PolicyDocument) -> [String] {
        guard policy.mode == .inline, policy.queue.family == .ip,
            !policy.rules.contains(where: { $0.direction == .incoming })
        else { return [] }
        return policy.remarks().filter { $0.kind == .open }.map(\.line)
    }

    /// "IPv4 and IPv6 at input, output".
    private static func places(_ feeds: [QueueFeed]) -> String {
        let frames = feeds.contains { $0.layer == .bridge }
        let families = AddressFamily.allCases.filter { family in feeds.contains { $0.carries(family) } }
        var hooks: [String] = []
        for feed in feeds where !hooks.contains(feed.place.hook.rawValue) { hooks.append(feed.place.hook.rawValue) }
        let what = frames ? "frames of bridges" : families.map(\.title).joined(separator: " and ")
        return "\(what) at \(hooks.joined(separator: ", "))"
    }

    /// What the rules are measured by: the agent's copy of the policy in force; where that is out of reach, its files, or as
    /// much of them as can be read.
    private static func policy(of report: StatusReport) -> PolicyDocument {
        var document = PolicyDocument()
        if let path = report.policy.files.first {
            document = copy(report, path) ?? PolicyFile.read(path).attempt
        }
        document.mode = report.mode
        document.failure = report.failure
        let numbers = Dictionary(grouping: report.queues, by: \.kind).mapValues { $0.map(\.number) }
        if let first = numbers[.established]?.min(), let last = numbers[.established]?.max() {
            document.queue.numbers = first...last
            document.queue.floodNumbers = numbers[.openings]?.min().map { .from($0) } ?? .off
        }
        return document
    }

    private static func copy(_ report: StatusReport, _ policyPath: String) -> PolicyDocument? {
        guard let directory = report.policy.copy?.split(separator: "/").dropLast().joined(separator: "/") else {
            return nil
        }
        return PolicyKeeper(directory: "/" + directory, policyPath: policyPath).copy(
            ofEpoch: report.policy.epoch)?.read().document
    }

    /// One sentence for the screen.
    var sentence: String {
        switch state {
        case .protected: "this host is protected: \(details.joined(separator: "; "))"
        case .tap: "this host is watched and not protected: tap drops nothing; \(details.joined(separator: "; "))"
        case .partly: "this host is not wholly protected:"
        case .unprotected: "this host is not protected: \(details.joined(separator: "; "))"
        case .unknown: "unknown: \(details.joined(separator: "; "))"
        }
    }
}
