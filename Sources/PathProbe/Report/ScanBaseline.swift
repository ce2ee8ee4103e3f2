// SPDX-License-Identifier: GPL-3.0-or-later

internal import AgentControl
internal import PacketWire

/// The result of an earlier scan, read back from the JSON lines that were kept of it, to say what has changed since.
package struct ScanBaseline: Sendable {
    package struct Fault: Error, CustomStringConvertible {
        package var description: String
    }

    /// What is compared: not counts and times, which differ from one scan to the next.
    package struct State: Hashable, Sendable {
        package var category: String
        /// Without its number.
        package var detail: String
        /// What agents on the path say dropped it, each once: `deny by rule "No telnet"`.
        package var drops: [String]

        package var isVerdict: Bool { Category(rawValue: category)?.isVerdict ?? false }

        package var text: String {
            "\(category) \(detail)" + (drops.isEmpty ? "" : ", dropped by an agent: \(drops.joined(separator: ", "))")
        }
    }

    /// One probe among those of a scan: the third of the same test to the same port is another than the first.
    struct Name: Hashable {
        var test: String
        var transport: String
        var target: String
        var number = 0
    }

    private(set) var states: [Name: State] = [:]
    private(set) var order: [Name] = []

    /// - Parameter lines: of a file that `portreeve scan --save` or `--json` wrote.
    /// - Throws: the first line that is no result.
    package init(_ lines: some Sequence<[UInt8]>) throws(Fault) {
        for (index, line) in lines.enumerated() where !line.isEmpty {
            guard let json = try? JSONValue(parsing: line), json["v"] == .integer(1) else {
                throw Fault(
                    description: "line \(index + 1): found no result of a scan, expected one as --save writes them")
            }
            // Changes, and what is said beside a plan's results, are no results.
            guard json["change"] != .bool(true), json["simulated"] == nil, json["proto"] != nil || json["probe"] != nil
            else { continue }
            try add(json, index + 1)
        }
    }

    private mutating func add(_ json: JSONValue, _ number: Int) throws(Fault) {
        guard let transport = json["proto"]?.asText, let target = json["dst"]?.asText,
            let category = json["category"]?.asText, let detail = json["detail"]?.asText
        else { throw Fault(description: "line \(number): found a result without proto, dst, category or detail") }
        let drops = (json["firewall"]?.asList ?? []).compactMap { drop -> String? in
            guard drop["action"]?.asText == "deny", let slug = drop["reason"]?.asText else { return nil }
            // Whether the agent has looked yet at who listens is no change.
            let reason = slug.hasSuffix("-open-port") ? String(slug.dropLast(10)) : slug
            return reason + (drop["rule"]?.asText.map { " by rule \"\($0)\"" } ?? "")
        }
        add(
            Name(test: json["test"]?.asText ?? "", transport: transport, target: target),
            State(
                category: category, detail: String(detail.prefix { $0 != "=" && $0 != " " }),
                drops: Set(drops).sorted()))
    }

    private mutating func add(_ name: Name, _ state: State) {
        var name = name
        while states[name] != nil { name.number += 1 }
        states[name] = state
        order.append(name)
    }
}

/// What became of the same probe in two scans.
package struct ScanChange: Hashable, Sendable {
    /// Nil in the scan that does not have the probe.
    package var before: ScanBaseline.State?
    package var after: ScanBaseline.State?
    /// Address and port.
    package var target: String
    package var transport: String
    package var test: String

    /// What happened, without the port, in words.
    package var text: String {
        switch (before, after) {
        case (let before?, let after?): "was \(before.text); is \(after.text)"
        case (let before?, nil): "was \(before.text); is not probed any more"
        case (nil, let after?): "was not probed; is \(after.text)"
        case (nil, nil): ""
        }
    }
}

extension ScanBaseline {
    /// What is not as it was, in the order of the new scan, and then what it does not have any more. Where one of both found
    /// nothing out there is nothing to compare.
    package func changes(to new: ScanBaseline) -> [ScanChange] {
        var changes: [ScanChange] = []
        for name in new.order where states[name] != new.states[name] {
            let (before, after) = (states[name], new.states[name])
            if let after, !after.isVerdict { continue }
            if let before, !before.isVerdict { continue }
            changes.append(ScanChange(name, before, after))
        }
        for name in order where new.states[name] == nil {
            changes.append(ScanChange(name, states[name], nil))
        }
        return changes
    }
}

extension ScanChange {
    /// Changes with ports to which the same happened on one line: "tcp 192.0.2.1 22-23,80: was open answered; is …".
    package static func lines(of changes: [ScanChange]) -> [String] {
        struct Key: Hashable {
            var transport: String
            var host: String
            var text: String
        }
        var order: [Key] = []
        var ports: [Key: [UInt16]] = [:]
        for change in changes {
            guard let target = Endpoint(parsing: change.target) else { continue }
            let test = change.test.isEmpty ? "" : "\(change.test): "
            let key = Key(transport: "\(test)\(change.transport)", host: target.host, text: change.text)
            if ports[key] == nil { order.append(key) }
            ports[key, default: []].append(target.port)
        }
        return order.map { "\($0.transport) \($0.host) \(PortSet(ports: ports[$0] ?? [])): \($0.text)" }
    }
}

extension ScanChange {
    fileprivate init(_ name: ScanBaseline.Name, _ before: ScanBaseline.State?, _ after: ScanBaseline.State?) {
        self.before = before
        self.after = after
        target = name.target
        transport = name.transport
        test = name.test
    }

    /// As one JSON text.
    package var json: String {
        func json(_ state: ScanBaseline.State?) -> JSONValue {
            guard let state else { return .null }
            return [
                "category": .text(state.category), "detail": .text(state.detail), "drops": .texts(state.drops),
            ]
        }
        let value: JSONValue = [
            "v": .integer(1), "change": .bool(true), "test": .optional(test.isEmpty ? nil : test),
            "proto": .text(transport), "dst": .text(target), "before": json(before), "after": json(after),
        ]
        return value.printed
    }
}

extension ScanReport {
    /// The scan as a later one would read it back.
    package var baseline: ScanBaseline? { try? ScanBaseline(jsonLines.map { Array($0.utf8) }) }
}
