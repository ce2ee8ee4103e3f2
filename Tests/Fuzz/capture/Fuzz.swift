// SPDX-License-Identifier: GPL-3.0-or-later

import CaptureReplay
import ConnectionTracking
import FirewallEngine
import FirewallPolicy
import Glibc

/// Replay of a capture file; an input is the file. What is wrong with one is an error, the events of two runs are the same
/// bytes, and every frame read was passed, dropped or left out.
@c(LLVMFuzzerTestOneInput)
func fuzzCapture(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    // What other programs decompress (xz, zstd, bzip2, lz4) is theirs.
    let begin = UnsafeBufferPointer(start: start, count: count).prefix(3)
    let others: [[UInt8]] = [[0xfd, 0x37, 0x7a], [0x28, 0xb5, 0x2f], [0x42, 0x5a, 0x68], [0x04, 0x22, 0x4d]]
    if others.contains(Array(begin)) { return 0 }
    guard ftruncate(Capture.descriptor, 0) == 0, pwrite(Capture.descriptor, start, count, 0) == count else {
        fatalError("the file cannot be written")
    }
    let first = Capture.replay()
    let second = Capture.replay()
    if first.events != second.events { fatalError("two runs, two outcomes") }
    let summary = first.summary
    let judged = summary.counters.passed &+ summary.counters.dropped.reduce(0, &+)
    // A fragment that waited counts when it is released; nothing waits after the end.
    if judged &+ summary.ofOthers != summary.packets { fatalError("\(summary.packets) frames, \(judged) judged") }
    return 0
}

private enum Capture {
    /// A file without a name.
    static let descriptor: CInt = {
        var path = Array("/tmp/fuzz-capture.XXXXXX".utf8CString)
        let descriptor = mkstemp(&path)
        guard descriptor >= 0, unlink(path) == 0 else { fatalError("no temporary file") }
        return descriptor
    }()

    static let policy: Policy = {
        var document = PolicyDocument()
        document.engine.limits.tcp = 100
        document.engine.limits.udp = 100
        document.engine.limits.icmp = 100
        document.engine.limits.fragmentedDatagrams = 10
        guard let policy = try? Policy(document, epoch: 1) else { fatalError("the default policy does not compile") }
        return policy
    }()

    static func replay() -> (events: [UInt8], summary: ReplaySummary) {
        var events: [UInt8] = []
        var replay = CaptureReplay(policy: policy, local: [], folds: false, zones: CalendarZones())
        try? replay.run("/proc/self/fd/\(descriptor)") { events += $0 }
        replay.finish { events += $0 }
        return (events, replay.summary)
    }
}
