// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import FirewallPolicy
import PolicyFile

struct RulesCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "rules", abstract: "List the rules of the running agent, and how often each has decided.",
        discussion: discussion(
            """
            PACKETS and BYTES are those that the rule decided about: each packet of a connection that the rule's decision is \
            kept for, and of a log-only rule those that it told of. A rule is counted since it came into force as it is, \
            over restarts and over reloads that did not change it: SINCE. Another name, or other criteria, action, priority or \
            direction, make another rule of it; what its lists hold does not. Packets that pass in the kernel (the fast path) are \
            counted within a second, and with the end of their flow; what a rule with offload: true lets by is counted up to \
            the packet that offloaded it. A crash loses a minute at most. (off) is a rule with enabled: false, (over) one that has \
            ended by its until.
            """))

    static let examples = [
        Example("portreeve rules", "Every rule in the order of the policy."),
        Example(
            "portreeve rules --unused 90d",
            "Those that have decided nothing for 90 days; which of them are counted for less is said."),
        Example("portreeve rules --json", "One line of JSON for each rule; times in microseconds since 1970."),
    ]

    @OptionGroup var control: ControlOptions

    @Option(
        help: ArgumentHelp(
            "Only rules that have decided nothing for so long: a number with s, m, h or d.", valueName: "time"))
    var unused: String?

    @Flag(help: "Print JSON lines.")
    var json = false

    func validate() throws { _ = try unusedSeconds() }

    private func unusedSeconds() throws -> Int64? {
        guard let unused else { return nil }
        guard let seconds = LengthOfTime.seconds(unused), (1...3_660 * 86_400).contains(seconds) else {
            throw ValidationError("--unused takes a number with its unit, 1s to 3660d, such as 90d")
        }
        return seconds
    }

    func run() throws {
        let rules = try allRules()
        let now = WallTime.now
        guard let seconds = try unusedSeconds() else { return list(rules, now, span: nil) }
        let idle = rules.filter { $0.isEnabled && $0.isUnused(for: seconds, at: now.microseconds) }
        list(idle, now, span: seconds)
    }

    /// All pages, of one policy.
    private func allRules() throws -> [RuleReport] {
        let rules: [RuleReport]?
        do {
            rules = try Self.rules(of: ControlClient(path: control.path, timeoutSeconds: 30))
        } catch {
            throw fail(control.explaining(error))
        }
        guard let rules else {
            throw fail("the policy changed again and again while its rules were listed; run this again")
        }
        return rules
    }

    /// All rules of the policy that an agent has in force; nil where it changes again and again.
    static func rules(of client: ControlClient) throws(ControlError) -> [RuleReport]? {
        for _ in 0..<5 {
            if let rules = try rulesOfOnePolicy(client) { return rules }
        }
        return nil
    }

    private static func rulesOfOnePolicy(_ client: ControlClient) throws(ControlError) -> [RuleReport]? {
        var query = RuleQuery()
        var rules: [RuleReport] = []
        var epoch: UInt32?
        while true {
            guard case .rules(let page) = try client.request(.rules(query)) else {
                throw .malformed(client.path, "it is the answer to another question")
            }
            guard epoch == nil || page.epoch == epoch else { return nil }
            epoch = page.epoch
            rules += page.rows
            guard let next = page.next, next > query.after else { return rules }
            query.after = next
        }
    }

    private func list(_ rules: [RuleReport], _ now: WallTime, span: Int64?) {
        if json {
            for rule in rules { print(rule.json(unusedFor: span, at: now.microseconds).printed) }
            return
        }
        for line in Self.table(rules).lines(width: terminalWidth) { print(line) }
        guard let span, let length = unused else { return }
        if rules.isEmpty { printLines(["Every rule has decided something within \(length)."]) }
        let young = rules.filter { !$0.isCounted(for: span, at: now.microseconds) }
        guard let oldest = young.map(\.since).min() else { return }
        printLines([
            "\(young.count == rules.count ? "All of them" : "\(young.count) of them") are counted for less than "
                + "\(length), none before \(WallTime(microseconds: oldest).text): what they did earlier is not known."
        ])
    }

    private static func table(_ rules: [RuleReport]) -> TextTable {
        var table = TextTable([
            .text("RULE", cutTo: 12), .text("ACTION"), .text("DIRECTION"), .number("PACKETS"), .number("BYTES"),
            .text("FIRST"), .text("LAST"), .text("SINCE"), .text("PLACE", cutTo: 8),
        ])
        for rule in rules {
            func time(_ microseconds: Int64?) -> String {
                microseconds.map { WallTime(microseconds: $0).text } ?? "-"
            }
            table.add([
                rule.name, rule.standing + rule.action.listWord, rule.direction.word,
                rule.packets.grouped, rule.bytes.grouped, time(rule.first), time(rule.last), time(rule.since),
                rule.place ?? "built-in",
            ])
        }
        return table
    }
}

extension RuleReport {
    /// Why it does not match now, before its action.
    fileprivate var standing: String { !isEnabled ? "(off) " : isOver ? "(over) " : "" }

    /// Whether it has decided nothing for so many seconds, as far as it is counted.
    func isUnused(for seconds: Int64, at now: Int64) -> Bool { last.map { now - $0 >= seconds * 1_000_000 } ?? true }

    /// Whether it is counted for so many seconds.
    func isCounted(for seconds: Int64, at now: Int64) -> Bool { now - since >= seconds * 1_000_000 }

    /// With `--unused`, whether the rule is counted for long enough to say so.
    fileprivate func json(unusedFor seconds: Int64?, at now: Int64) -> JSONValue {
        guard let seconds, case .object(let members) = json else { return json }
        return .object(members + [.init("counted_long_enough", .bool(isCounted(for: seconds, at: now)))])
    }
}
