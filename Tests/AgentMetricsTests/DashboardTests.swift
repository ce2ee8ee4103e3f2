// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import FirewallEngine
import Glibc
import Testing

@testable import AgentMetrics

@Suite("The dashboard")
struct DashboardTests {
    private static let path =
        "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/Config/grafana/portreeve.json"

    /// Every expression, and what the variable's query says.
    private static func expressions(_ value: JSONValue) -> [String] {
        switch value {
        case .object(let members):
            members.flatMap { member in
                if ["expr", "definition"].contains(member.name), case .text(let text) = member.value { return [text] }
                return expressions(member.value)
            }
        case .list(let values): values.flatMap(expressions)
        default: []
        }
    }

    private func words(of text: String) -> Set<Substring> {
        Set(
            text.split { !($0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_")) }.filter {
                $0.hasPrefix("portreeve_")
            })
    }

    @Test("shows metrics that the agent serves, and all of them")
    func metrics() throws {
        let dashboard = try JSONValue(parsing: read(Self.path))
        let shown = words(of: Self.expressions(dashboard).joined(separator: "\n"))
        var sample = MetricsSample(version: "")
        sample.queues = [QueueSample(number: 0)]
        sample.workers = [WorkerSample(number: 0)]
        sample.queues[0].losses = [LossCount(cause: "queue-full", packets: 0)]
        sample.reasons = [ReasonCount(reason: .deny)]
        sample.connections = [StageCount(proto: "tcp", state: "closed", connections: 0)]
        sample.tables = [TableFill(proto: "tcp", entries: 0, limit: 1)]
        sample.outputs = [OutputSample(name: "file")]
        let lines = sample.text().split(separator: "\n").filter { !$0.hasPrefix("#") }
        let served = Set(lines.map { $0.prefix { $0 != "{" && $0 != " " } })
        #expect(shown.subtracting(served) == [])
        #expect(served.subtracting(shown) == [])
    }

    private func read(_ path: String) -> [UInt8] {
        guard let file = unsafe fopen(path, "r") else { return [] }
        defer { unsafe fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        while case let count = unsafe fread(&chunk, 1, chunk.count, file), count > 0 { bytes += chunk[..<count] }
        return bytes
    }
}
