// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import PolicyFile
import Testing

@testable import PathProbe

struct PlanTests {
    private func read(_ text: String, files: [String: [UInt8]] = [:]) -> PlanFile.Outcome {
        PlanFile.parse(name: "plan", Array(text.utf8), in: "dir/") { path throws(FileFault) in
            guard let bytes = files[path] else { throw FileFault("No such file or directory") }
            return bytes
        }
    }

    private func plan(_ text: String, files: [String: [UInt8]] = [:]) throws -> PlanFile {
        let outcome = read(text, files: files)
        return try #require(outcome.plan, "\(outcome.diagnostics.map { $0.rendered() })")
    }

    @Test func everythingThatAPlanCanSay() throws {
        let plan = try plan(
            """
            version: 1
            reflector: reflect.example:7000
            timeout: 3s
            payloads:
              hello: { text: "hi" }
            tests:
              - { name: one, target: 192.0.2.1, protocol: tcp, ports: 80 }
              - { target: [a.example, "2001:db8::1"], protocol: tcp+udp, ports: [53, "5-6,9", 4-5], family: 6,
                  source: "2001:db8::2", payload: hello, timeout: 500ms, expect: { outcome: reject, detail: icmp_port } }
            """)
        #expect(plan.reflector == "reflect.example:7000")
        #expect(plan.tests.map(\.name) == ["one", nil])
        #expect(plan.tests[0].timeout == .seconds(3))
        #expect(plan.tests[0].payloads == [.tcp: .keyed(length: 48)])
        #expect(plan.tests[1].targets == ["a.example", "2001:db8::1"])
        #expect(plan.tests[1].transports == [.tcp, .udp])
        #expect("\(plan.tests[1].ports)" == "4-6,9,53")
        #expect(plan.tests[1].payloads[.udp] == .bytes([0x68, 0x69]))
        #expect(plan.tests[1].timeout == .milliseconds(500))
        #expect(plan.tests[1].expectation == Expectation(.reject, detail: "icmp_port"))
    }

    @Test func payloadsOfEachKind() throws {
        let plan = try plan(
            """
            version: 1
            payloads:
              sized: { keyed: 1000 }
              hex: { hex: "00 ff" }
              file: { file: p.bin }
              talk: [ { expect: "220\\r\\n" }, { send: { hex: 0102 } } ]
            tests:
              - { target: h, protocol: tcp, ports: 1, payload: sized }
              - { target: h, protocol: tcp, ports: 1, payload: hex }
              - { target: h, protocol: tcp, ports: 1, payload: file }
              - { target: h, protocol: tcp, ports: 1, payload: talk }
              - { target: h, protocol: tcp, ports: 1, payload: { text: x } }
            """, files: ["dir/p.bin": [7, 8]])
        #expect(plan.tests[0].payloads[.tcp] == .keyed(length: 1_000))
        #expect(plan.tests[1].payloads[.tcp] == .bytes([0, 255]))
        #expect(plan.tests[2].payloads[.tcp] == .bytes([7, 8]))
        let talk = try PayloadScript([.init(.reflector, Array("220\r\n".utf8)), .init(.client, [1, 2])], over: .tcp)
        #expect(plan.tests[3].payloads[.tcp] == .script(talk))
        #expect(plan.tests[4].payloads[.tcp] == .bytes([0x78]))
    }

    @Test(
        "what is wrong is said at its place",
        arguments: [
            (
                "version: 1\ntests: [ { target: h, protocol: tcp, ports: 1, expect: { outcome: deny, reason: out-of-allowed-polcy } } ]",
                "did you mean \"out-of-allowed-policy\"?"
            ),
            ("tests: []", "1:1: error: found a plan without a version, expected version: 1"),
            ("version: 2\ntests: [ { target: h, protocol: tcp, ports: 1 } ]", "1:10: error: found \"2\", expected 1"),
            ("version: 1", "1:1: error: found a plan without tests"),
            ("version: 1\ntests: {}", "2:8: error: found a mapping, expected a sequence of tests"),
            (
                "version: 1\nrules: []\ntests: [ { target: h, protocol: tcp, ports: 1 } ]",
                "2:1: error: found the unknown key \"rules\""
            ),
            ("version: 1\ntests: [ { target: h, ports: 1 } ]", "2:10: error: found a test without protocol"),
            ("version: 1\ntests: [ { target: h, protocol: tcp, ports: [80, 70000] } ]", "2:50: error: found \"70000\""),
            ("version: 1\ntests: [ { target: h, protocol: tcp, ports: 1, expect: drop } ]", "write { outcome: deny"),
            (
                "version: 1\ntests: [ { target: h, protocol: tcp, ports: 1, expect: { outcome: deny, category: refused } } ]",
                "2:83: error: found \"refused\""
            ),
            (
                "version: 1\ntests: [ { target: h, protocol: tcp, ports: 1, payload: mial } ]",
                "2:57: error: found the undefined payload"
            ),
            (
                "version: 1\ntests: [ { target: h, protocol: udp, ports: 1, payload: [ { send: a }, { expect: bb } ] } ]",
                "2:72: error: found an answer over UDP that is longer"
            ),
            (
                "version: 1\ntests: [ { target: h, protocol: udp, ports: 1, payload: [ { send: a } ] } ]",
                "2:59: error: found a last message that the client sends, over UDP"
            ),
            (
                "version: 1\ntests: [ { target: h, protocol: tcp, ports: 1, payload: { hex: abc } } ]",
                "2:64: error: found \"abc\""
            ),
            (
                "version: 1\ntests: [ { target: h, protocol: tcp, ports: 1, payload: { file: x } } ]",
                "No such file or directory"
            ),
            ("version: 1\ntests: [ { target: h, protocol: tcp, ports: 1, timeout: 5 } ]", "write 5s for seconds"),
            (
                "version: 1\ntests: [ { name: a, target: h, protocol: tcp, ports: 1 }, { name: a, target: h, protocol: tcp, ports: 1 } ]",
                "a second time"
            ),
            ("", "found an empty file"),
            ("version: 1\n\ttests: []", "what is not YAML"),
        ])
    func faults(text: String, said: String) {
        let outcome = read(text)
        #expect(outcome.plan == nil)
        let all = outcome.diagnostics.map { $0.rendered() }.joined(separator: "\n")
        #expect(all.contains(said), "\(all)")
    }

    @Test func theExamplesAreGood() {
        let folder = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/Config/examples/plans"
        for name in ["web-server", "segments", "payloads"] {
            let outcome = PlanFile.read("\(folder)/\(name).yaml")
            #expect(outcome.plan != nil, "\(outcome.diagnostics.map { $0.rendered() })")
        }
    }

    @Test func probesAreNumberedThroughAllTests() throws {
        let target = Endpoint.any(isIPv6: false)
        func test(_ ports: String, _ payload: ProbeJob.Payload) throws -> PlannedTest {
            PlannedTest(
                target: target, .tcp, ports: try PortSet(parsing: ports), payload: payload,
                deadlines: ProbeDeadlines(.seconds(5)))
        }
        let plan = ScanPlan([try test("1-3000", .keyed(length: 48)), try test("80", .bytes([1]))])
        #expect(plan.jobs.map(\.number) == Array(0..<3_001))
        #expect(plan.testOfJob.last == 1)
        let requests = plan.resolved(SecretKey([1])).requests { _ in target }
        let firsts = requests.compactMap { if case .open(let opening) = $0 { opening.first } else { nil } }
        #expect(firsts == [0, 2_048, 3_000])
        #expect(requests.contains { if case .script = $0 { true } else { false } })
        var options = ScanOptions()
        options.parallel = 100
        options.retries = 0
        #expect(plan.worstCase(options) == Instant.Span(nanoseconds: 31 * 12_000_000_000))
    }
}
