// SPDX-License-Identifier: GPL-3.0-or-later

import CaptureReplay
import Glibc
import PacketWire
import PathProbe

/// One line on standard error that says how far the work is, where that is a terminal.
final class ProgressMeter {
    private let isShown = isatty(STDERR_FILENO) == 1
    private let began = Poller.now
    private var shownAt: Instant?
    private var width = 0

    /// Says it, unless something was said a moment ago.
    func show(_ text: @autoclosure () -> String) {
        guard isShown else { return }
        let now = Poller.now
        if let shownAt, now < shownAt + .milliseconds(200) { return }
        shownAt = now
        write(text())
    }

    /// The line is the next text's again.
    func clear() {
        guard width > 0 else { return }
        write("")
    }

    /// Nanoseconds since it was made.
    fileprivate var elapsed: Double { Double(max(1, (Poller.now - began).nanoseconds)) }

    private func write(_ text: String) {
        let bytes = Array("\r\(text.padded(to: width))\(text.isEmpty ? "\r" : "")".utf8)
        width = text.count
        _ = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }
}

extension ProgressMeter {
    func show(_ progress: ScanProgress) {
        let percent = progress.total > 0 ? progress.done * 100 / progress.total : 100
        let seconds = (progress.left.nanoseconds + 999_999_999) / 1_000_000_000
        let left = progress.total - progress.done
        show(
            "\(progress.isRepeating ? "repeating: " : "")\(percent) %, \(left.grouped) left, about \(seconds.grouped) s"
        )
    }
}

/// How far the reading of captures is, all of them together, each of them as often as it is read.
struct CaptureMeter {
    let meter = ProgressMeter()
    /// Bytes of all readings; nil where one of them is not known.
    private let total: Int64?
    private var before: (bytes: Int64, frames: UInt64) = (0, 0)
    private var current: (bytes: Int64, frames: UInt64) = (0, 0)

    init(_ paths: [String], readings: Int64) {
        let sizes = paths.map { path -> Int64? in
            var kind = stat()
            guard path != "-", unsafe stat(path, &kind) == 0, kind.st_mode & S_IFMT == S_IFREG else { return nil }
            return Int64(kind.st_size)
        }
        total = sizes.contains { $0 == nil } ? nil : sizes.reduce(0) { $0 + ($1 ?? 0) } * readings
    }

    mutating func show(_ progress: CaptureProgress) {
        current = (progress.bytes?.read ?? 0, progress.frames)
        let (bytes, frames) = (before.bytes + current.bytes, before.frames + current.frames)
        let elapsed = meter.elapsed
        let rate = UInt64(Double(frames) / elapsed * 1e9)
        let pace = "\(frames.grouped) packets read, \(rate.grouped) packets/s"
        guard let total, bytes > 0 else { return meter.show(pace) }
        let left = UInt64(max(0, elapsed * Double(total - bytes) / Double(bytes) / 1e9).rounded(.up))
        meter.show("\(min(99, bytes * 100 / max(1, total))) %, \(pace), about \(left.grouped) s left")
    }

    /// The file that was shown last is read.
    mutating func next(_ path: String) {
        var kind = stat()
        let size = unsafe stat(path, &kind) == 0 ? Int64(kind.st_size) : current.bytes
        before = (before.bytes + size, before.frames + current.frames)
        current = (0, 0)
    }
}
