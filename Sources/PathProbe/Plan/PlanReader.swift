// SPDX-License-Identifier: GPL-3.0-or-later

internal import FirewallEngine
internal import PacketWire
internal import PolicyFile

/// From the tree of a plan to the plan.
struct PlanReader {
    var plan = PlanFile()
    let directory: String
    let reading: @Sendable (String) throws(FileFault) -> [UInt8]
    private var payloads: [String: PlannedPayload] = [:]
    private var timeout: Instant.Span?
    private var names: Set<String> = []

    static let expectedVersion = "version: 1"
    private static let keys = ["version", "reflector", "timeout", "payloads", "tests"]
    private static let testKeys = [
        "name", "target", "protocol", "ports", "family", "source", "payload", "timeout", "expect",
    ]
    private static let time = ValueForm<Instant.Span>.time(.milliseconds(1)...Instant.Span.minutes(10))
    private static let mostProbes = 1_048_576

    init(directory: String, reading: @escaping @Sendable (String) throws(FileFault) -> [UInt8]) {
        self.directory = directory
        self.reading = reading
    }

    mutating func read(_ root: YAMLNode, _ sink: inout DiagnosticSink) {
        guard case .mapping(let entries) = root.content else {
            return sink.mismatch(root, expected: "a plan: a mapping that begins with \(Self.expectedVersion)")
        }
        for entry in entries where !Self.keys.contains(entry.key) {
            sink.unknown(
                entry, in: "the plan", known: Self.keys, advice: ["rules": "a plan has tests", "test": "write tests"])
        }
        readVersion(root, &sink)
        if let node = root.value(of: "reflector") { plan.reflector = text(node, "a host, or host:port", &sink) }
        if let node = root.value(of: "timeout") { timeout = Self.time.read(node, &sink) }
        if let node = root.value(of: "payloads") { readPayloads(node, &sink) }
        guard let tests = root.value(of: "tests") else {
            return sink.error(at: root.place, found: "a plan without tests", expected: "tests: and a sequence of them")
        }
        guard case .sequence(let nodes) = tests.content, !nodes.isEmpty else {
            return sink.mismatch(tests, expected: "a sequence of tests")
        }
        var probes = 0
        for node in nodes where sink.hasRoom {
            guard let test = test(node, &sink) else { continue }
            probes += test.ports.count * test.targets.count * test.transports.count
            plan.tests.append(test)
            guard probes <= Self.mostProbes else {
                return sink.error(
                    at: node.place, found: "a plan of more than \(Self.mostProbes) probes",
                    expected: "fewer in one plan")
            }
        }
    }

    private func readVersion(_ root: YAMLNode, _ sink: inout DiagnosticSink) {
        guard let node = root.value(of: "version") else {
            return sink.error(at: root.place, found: "a plan without a version", expected: Self.expectedVersion)
        }
        if node.text != "1" { sink.mismatch(node, expected: "1, the version of the format") }
    }

    private func text(_ node: YAMLNode, _ expected: String, _ sink: inout DiagnosticSink) -> String? {
        guard let text = node.text, !text.isEmpty else {
            sink.mismatch(node, expected: expected)
            return nil
        }
        return text
    }

    private mutating func readPayloads(_ node: YAMLNode, _ sink: inout DiagnosticSink) {
        guard case .mapping(let entries) = node.content else {
            return sink.mismatch(node, expected: "a mapping from names to payloads")
        }
        for entry in entries where sink.hasRoom {
            payloads[entry.key] = payload(entry.value, &sink) ?? .refused
        }
    }

    // MARK: - Tests

    private mutating func test(_ node: YAMLNode, _ sink: inout DiagnosticSink) -> PlannedEntry? {
        guard case .mapping(let entries) = node.content else {
            sink.mismatch(node, expected: "a test: a mapping with at least target, protocol and ports")
            return nil
        }
        let errors = sink.errorCount
        for entry in entries where !Self.testKeys.contains(entry.key) {
            sink.unknown(entry, in: "a test", known: Self.testKeys, advice: Self.advice)
        }
        for key in ["target", "protocol", "ports"] where node.value(of: key) == nil {
            sink.error(at: node.place, found: "a test without \(key)", expected: "\(key):")
        }
        var test = PlannedEntry()
        test.timeout = timeout
        if let value = node.value(of: "name") { readName(value, into: &test, &sink) }
        if let value = node.value(of: "target") { test.targets = Self.texts.read(value, &sink) ?? [] }
        if let value = node.value(of: "protocol") { test.transports = Self.protocols.read(value, &sink) ?? [] }
        if let value = node.value(of: "ports") { test.ports = ports(value, &sink) }
        if let value = node.value(of: "family") { test.family = Self.family.read(value, &sink) }
        if let value = node.value(of: "source") { test.source = Self.address.read(value, &sink) }
        if let value = node.value(of: "timeout") { test.timeout = Self.time.read(value, &sink) }
        if let value = node.value(of: "expect") { test.expectation = ExpectationReader.read(value, &sink) }
        readPayload(of: node, into: &test, &sink)
        return sink.errorCount == errors ? test : nil
    }

    private static let advice = [
        "host": "write target", "hosts": "write target", "to": "write target", "port": "write ports",
        "from": "write source",
        "proto": "write protocol", "transport": "write protocol", "expected": "write expect", "result": "write expect",
    ]

    private mutating func readName(_ node: YAMLNode, into test: inout PlannedEntry, _ sink: inout DiagnosticSink) {
        test.name = text(node, "a name: one line of text", &sink)
        guard let name = test.name, !names.insert(name).inserted else { return }
        sink.error(
            at: node.place, found: "the test name \(quoted(name)) a second time",
            expected: "a name that no other test has")
    }

    private func ports(_ node: YAMLNode, _ sink: inout DiagnosticSink) -> PortSet {
        let lists = Self.portLists.read(node, &sink) ?? []
        return PortSet(lists.flatMap(\.ranges))
    }

    private func readPayload(of node: YAMLNode, into test: inout PlannedEntry, _ sink: inout DiagnosticSink) {
        let value = node.value(of: "payload")
        guard let payload = value.map({ chosen($0, &sink) }) ?? .keyed(ProbePayload.minimumBytes) else { return }
        for transport in test.transports {
            guard let payload = payload.over(transport, at: value ?? node, &sink) else { continue }
            test.payloads[transport] = payload
        }
    }

    /// The payload of a test: written there, or one of `payloads`.
    private func chosen(_ node: YAMLNode, _ sink: inout DiagnosticSink) -> PlannedPayload? {
        guard let name = node.text, name != "keyed" else { return payload(node, &sink) }
        if let known = payloads[name] { return known }
        sink.error(
            at: node.place, found: "the undefined payload \(quoted(name))", expected: "keyed, or a name of payloads",
            suggestion: meant(name, among: payloads.keys.sorted()))
        return nil
    }

    private func payload(_ node: YAMLNode, _ sink: inout DiagnosticSink) -> PlannedPayload? {
        PayloadReader(directory: directory, reading: reading).payload(node, &sink)
    }

    // MARK: - Values

    private static let text = ValueForm<String>.scalar(
        "a host's name or address", schema: "{}", print: { $0 },
        parse: { scalar throws(ScalarFault) in
            guard !scalar.text.isEmpty, !scalar.text.contains(where: \.isWhitespace) else {
                throw ScalarFault("a host's name or address")
            }
            return scalar.text
        })

    private static let texts = ValueForm<[String]>.oneOrSeveral(text, expected: "a host's name or address, or several")

    private static let protocols = ValueForm<[Transport]>.words(
        ["tcp": [.tcp], "udp": [.udp], "tcp+udp": [.tcp, .udp]],
        advice: ["any": "write tcp+udp", "both": "write tcp+udp"])

    private static let family = ValueForm<Int>.words(["4": 4, "6": 6], advice: ["ipv4": "write 4", "ipv6": "write 6"])

    private static let address = ValueForm<Endpoint>.scalar(
        "an address of this host", schema: "{}", print: \.host,
        parse: { scalar throws(ScalarFault) in
            guard let address = Endpoint(address: scalar.text) else { throw ScalarFault("an address of this host") }
            return address
        })

    private static let portLists = ValueForm<[PortSet]>.oneOrSeveral(
        ValueForm<PortSet>.scalar(
            portsExpected, schema: "{}", print: { "\($0)" },
            parse: { scalar throws(ScalarFault) in
                let ports = try? PortSet(parsing: scalar.text)
                guard let ports else { throw ScalarFault(portsExpected) }
                return ports
            }),
        expected: portsExpected)

    private static let portsExpected = "ports 1 to 65535 such as 80, 8000-8099 or \"80,443\""
}

extension DiagnosticSink {
    /// A key that its mapping does not have.
    mutating func unknown(_ entry: YAMLEntry, in place: String, known: [String], advice: [String: String] = [:]) {
        error(
            at: entry.keyPlace, found: "the unknown key \(quoted(entry.key))",
            expected: "a key of \(place): \(alternatives(known))",
            suggestion: advice[entry.key] ?? meant(entry.key, among: known))
    }
}

/// Reads what should come of a test: a word, or a mapping of it with what exactly.
enum ExpectationReader {
    private static let keys = ["outcome", "category", "detail", "reason"]

    static func read(_ node: YAMLNode, _ sink: inout DiagnosticSink) -> Expectation? {
        guard case .mapping(let entries) = node.content else { return kind.read(node, &sink).map { Expectation($0) } }
        for entry in entries where !keys.contains(entry.key) {
            sink.unknown(entry, in: "expect", known: keys)
        }
        let found = node.value(of: "category").flatMap { category.read($0, &sink) }
        guard let outcome = node.value(of: "outcome") else {
            guard let found else {
                sink.error(
                    at: node.place, found: "expect without an outcome", expected: "outcome: allow, deny or reject")
                return nil
            }
            return Expectation(
                found == .open ? .allow : .deny, category: found, detail: detail(node, &sink),
                reason: reason(node, &sink))
        }
        let (exactly, dropped) = (detail(node, &sink), reason(node, &sink))
        return kind.read(outcome, &sink).map { Expectation($0, category: found, detail: exactly, reason: dropped) }
    }

    /// A reason of the agent's, as `portreeve reasons` lists them.
    private static func reason(_ node: YAMLNode, _ sink: inout DiagnosticSink) -> String? {
        guard let value = node.value(of: "reason") else { return nil }
        let known = ReasonRow.all.map(\.slug)
        if let text = value.text, known.contains(text) { return text }
        sink.error(
            at: value.place, found: value.found, expected: "a reason, as portreeve reasons lists them",
            suggestion: value.text.flatMap { meant($0, among: known) })
        return nil
    }

    private static func detail(_ node: YAMLNode, _ sink: inout DiagnosticSink) -> String? {
        guard let value = node.value(of: "detail") else { return nil }
        guard let text = value.text else {
            sink.mismatch(value, expected: "a detail, in the words of the result")
            return nil
        }
        return text
    }

    private static let kind = ValueForm<Expectation.Kind>.words(
        ["allow": .allow, "deny": .deny, "reject": .reject],
        advice: [
            "open": "write allow", "pass": "write allow", "accept": "write allow", "closed": "write deny",
            "drop": "write { outcome: deny, category: handshake_timeout }", "block": "write deny",
            "blocked": "write deny",
        ])

    private static let category = ValueForm<Category>.words([
        "open": .open, "handshake_init": .handshakeInit, "handshake_timeout": .handshakeTimeout,
        "handshake_refused": .handshakeRefused, "payload_send": .payloadSend, "payload_refused": .payloadRefused,
        "payload_timeout": .payloadTimeout, "payload_mismatch": .payloadMismatch, "payload_error": .payloadError,
    ])
}
