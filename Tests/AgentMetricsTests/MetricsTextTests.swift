// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import FirewallEngine
import FirewallPolicy
import Testing

@testable import AgentMetrics

@Suite("The text of the metrics")
struct MetricsTextTests {
    private var sample: MetricsSample {
        var sample = MetricsSample(version: #"1.0 "beta" \"#)
        sample.policyHash = "5f"
        var queue = QueueSample(number: 3)
        queue.judged = 12
        queue.passed = 5
        queue.losses = [LossCount(cause: "queue-full", packets: 2)]
        queue.overflows = 8
        sample.queues = [queue, QueueSample(number: 4, kind: .openings)]
        var worker = WorkerSample(number: 3)
        worker.counters.fragments = 6
        worker.counters.bytesNotCompared = 11
        worker.latency.add(2, waited: 10_000)
        worker.latency.add(1, waited: 10_001)
        worker.latency.add(4, waited: 2_000_000_000)
        sample.workers = [worker]
        var row = ReasonCount(reason: .outOfConnection)
        (row.dropped, row.written, row.pending, row.silenced, row.lost) = (7, 1, 2, 3, 1)
        sample.reasons = [row]
        sample.connections = [StageCount(proto: "tcp", state: "syn-sent", connections: 9)]
        sample.tables = [TableFill(proto: "udp", entries: 1, limit: 10)]
        var file = OutputSample(name: "file")
        file.written = 10
        file.records = 4
        var other = OutputSample(name: "other")
        other.isInTrouble = true
        sample.outputs = [file, other]
        return sample
    }

    @Test(
        "Numbers stand under their names",
        arguments: [
            #"portreeve_build_info{version="1.0 \"beta\" \\"} 1"#,
            #"portreeve_policy_info{mode="inline",failure_engine="closed",failure_sanity="closed",hash="5f"} 1"#,
            #"portreeve_packets_total{queue="3"} 12"#,
            #"portreeve_verdicts_total{queue="3",verdict="accept"} 5"#,
            #"portreeve_verdicts_total{queue="3",verdict="drop"} 7"#,
            #"portreeve_dropped_packets_total{reason="out-of-connection"} 7"#,
            #"portreeve_drop_events_written_total{reason="out-of-connection"} 1"#,
            #"portreeve_drop_events_pending{reason="out-of-connection"} 2"#,
            #"portreeve_drop_events_silenced_total{reason="out-of-connection"} 3"#,
            #"portreeve_drop_events_lost_total{reason="out-of-connection"} 1"#,
            #"portreeve_queue_lost_packets_total{queue="3",cause="queue-full"} 2"#,
            #"portreeve_connections{protocol="tcp",state="syn-sent"} 9"#,
            #"portreeve_connection_table_limit{protocol="udp"} 10"#,
            #"portreeve_queue_overflows_total{queue="3"} 8"#,
            #"portreeve_queue_info{queue="3",kind="established"} 1"#,
            #"portreeve_queue_info{queue="4",kind="openings"} 1"#,
            #"portreeve_packets_total{queue="4"} 0"#,
            #"portreeve_fragments_total{queue="3"} 6"#,
            #"portreeve_bytes_not_compared_total{queue="3"} 11"#,
            #"portreeve_events_written_total{output="file"} 10"#,
            #"portreeve_events_folded_total{output="file"} 6"#,
            #"portreeve_events_folded_total{output="other"} 0"#,
            #"portreeve_event_output_writable{output="file"} 1"#,
            #"portreeve_event_output_writable{output="other"} 0"#,
        ])
    func numbers(_ line: String) {
        #expect(sample.text().split(separator: "\n").contains(Substring(line)))
        #expect(sample.text(.openMetrics).split(separator: "\n").contains(Substring(line)))
    }

    @Test("Buckets of the histogram add up, their bounds inclusive")
    func histogram() {
        let lines = sample.text().split(separator: "\n").filter { $0.hasPrefix("portreeve_verdict_latency_seconds_") }
        #expect(lines.first == #"portreeve_verdict_latency_seconds_bucket{queue="3",le="1e-05"} 2"#)
        #expect(lines[1] == #"portreeve_verdict_latency_seconds_bucket{queue="3",le="2.5e-05"} 3"#)
        #expect(lines[12] == #"portreeve_verdict_latency_seconds_bucket{queue="3",le="1.0"} 3"#)
        #expect(lines[13] == #"portreeve_verdict_latency_seconds_bucket{queue="3",le="+Inf"} 7"#)
        #expect(lines[14] == #"portreeve_verdict_latency_seconds_count{queue="3"} 7"#)
        #expect(lines[15] == #"portreeve_verdict_latency_seconds_sum{queue="3"} 8.000030001"#)
    }

    @Test("A clock that went backwards counts as no time")
    func backwards() {
        var histogram = LatencyHistogram()
        histogram.add(1, waited: -5)
        #expect(histogram.counts[0] == 1)
        #expect(histogram.nanoseconds == 0)
    }

    @Test("OpenMetrics names families without their suffix and has an end")
    func openMetrics() {
        let text = sample.text(.openMetrics)
        #expect(text.contains("# TYPE portreeve_packets counter\nportreeve_packets_total{"))
        #expect(text.contains("# TYPE portreeve_build info\nportreeve_build_info{"))
        #expect(text.hasSuffix("\n# EOF\n"))
        #expect(!sample.text().contains("EOF"))
        #expect(sample.text().contains("# TYPE portreeve_build_info gauge\n"))
    }

    @Test("Each family has its type once, and its samples behind it")
    func families() {
        var families: Set<Substring> = []
        var current: Substring = ""
        for line in sample.text().split(separator: "\n") where !line.hasPrefix("# HELP ") {
            if line.hasPrefix("# TYPE ") {
                current = line.split(separator: " ")[2]
                #expect(families.insert(current).inserted, "\(current)")
            } else {
                #expect(line.hasPrefix(current), "\(line)")
            }
        }
        #expect(families.count > 30)
    }
}
