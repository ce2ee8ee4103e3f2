// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import PacketWire

/// Brings lines into the event file, whatever happens to it.
///
/// A line is in the file whole or not at all: what a full disk cut off is taken back, or completed later where the file
/// is a stream. Lines that cannot be written wait, in bounded memory, and are tried again with growing pauses; a file
/// that was removed or rotated away is noticed before the next line and made anew. Nothing waits for a reader.
struct EventFileWriter: ~Copyable {
    private(set) var path: String
    private var file: EventFile?
    /// Lines not yet written, from `sent` on.
    private var text: [UInt8] = []
    private var lines: [Line] = []
    /// Lines at the front that are written and not yet forgotten, and their bytes.
    private var done = 0
    private var sent = 0
    /// Bytes of the line at `done` that the file has already, and its size with them.
    private var torn = 0
    private var sizeWhenTorn: Int64?
    /// The file has to be opened although no line waits.
    private var mustOpen = false
    private var pause = Instant.Span.zero
    private var retryAt: Instant?
    /// Why lines wait; `nil` while the file takes them.
    private(set) var trouble: EventFileError?
    private(set) var written = EventTally()
    private(set) var records = EventTally()
    private(set) var lost = EventTally()

    /// What one line stands for.
    private struct Line {
        let length: Int
        let count: UInt64
        let reason: DropReason
        let action: EventAction
    }

    static let shortestPause = Instant.Span.milliseconds(50)
    static let longestPause = Instant.Span.seconds(5)
    /// Bytes that may wait.
    static let backlog = 1 << 20

    /// Opens nothing yet.
    init(path: String) { self.path = path }

    var isEmpty: Bool { done == lines.count }
    /// Nothing is left to write or to open.
    var isSettled: Bool { isEmpty && !mustOpen }
    var isFull: Bool { text.count - sent >= EventFileWriter.backlog }

    var state: EventFileState {
        var state = EventFileState(path: path)
        state.trouble = trouble
        state.nextAttempt = retryAt
        return state
    }

    /// Opens the file now, to learn at the start whether it can be written.
    mutating func open() throws(EventFileError) {
        if file == nil { file = try EventFile(opening: path) }
        mustOpen = false
    }

    /// Adds one line: `append` writes it, with its end, behind the buffer it is given.
    mutating func add(_ summary: EventSummary, _ append: (inout [UInt8]) -> Void) {
        let before = text.count
        append(&text)
        lines.append(
            Line(
                length: text.count - before, count: summary.count, reason: summary.event.reason,
                action: summary.event.action))
    }

    /// Closes the file; the next `flush` opens, and makes, what `path` then leads to.
    mutating func reopen(path: String? = nil) {
        letGo()
        mustOpen = true
        self.path = path ?? self.path
        retryAt = nil
        pause = .zero
    }

    /// Writes what waits, unless the last failure was too short a time ago.
    mutating func flush(at now: Instant) {
        guard !isEmpty || mustOpen, mayTry(at: now) else { return }
        let doneBefore = done
        do throws(EventFileError) {
            try writeWaiting()
            trouble = nil
            retryAt = nil
            pause = .zero
        } catch {
            mendTornLine()
            // The next reader of a FIFO gets whole lines.
            if error.cause == .hasNoReader { letGo() }
            trouble = error
            // A reader that is slow, or reads again, is not kept waiting.
            if done > doneBefore { pause = .zero }
            pause = min(
                max(Instant.Span(nanoseconds: pause.nanoseconds * 2), EventFileWriter.shortestPause),
                EventFileWriter.longestPause)
            retryAt = now + pause
        }
        forgetWritten()
    }

    private func mayTry(at now: Instant) -> Bool {
        guard let retryAt else { return true }
        return now >= retryAt || retryAt - now > EventFileWriter.longestPause
    }

    /// The last attempt: what a stream's reader does not take within half a second at a time and ten seconds in all, and
    /// what a file does not take at once, is lost.
    mutating func close(at now: Instant) {
        retryAt = nil
        flush(at: now)
        for _ in 0..<20 {
            guard !isEmpty, case .readerDoesNotRead? = trouble?.cause else { break }
            let before = lines.count - done
            file?.waitUntilWritable(milliseconds: 500)
            retryAt = nil
            flush(at: now)
            if lines.count - done == before { break }
        }
        for line in lines[done...] { lost.add(line.count, line.reason, line.action) }
        lines.removeAll()
        text.removeAll()
        done = 0
        sent = 0
        letGo()
    }
}

extension EventFileWriter {
    private mutating func writeWaiting() throws(EventFileError) {
        if let isInPlace = file?.isInPlace, !isInPlace { letGo() }
        try open()
        forgetForeignTear()
        while !isEmpty {
            let sizeBefore = fileSize
            let count = try writeSome()
            noteWritten(count)
            sizeWhenTorn = torn > 0 ? sizeBefore.map { $0 + Int64(count) } : nil
        }
    }

    private func writeSome() throws(EventFileError) -> Int { try file?.write(text, from: sent + torn) ?? 0 }

    /// Counts the lines that are whole in the file.
    private mutating func noteWritten(_ count: Int) {
        var rest = torn + count
        while done < lines.count, rest >= lines[done].length {
            let line = lines[done]
            rest -= line.length
            sent += line.length
            done += 1
            written.add(line.count, line.reason, line.action)
            records.add(1, line.reason, line.action)
        }
        torn = rest
    }

    /// Takes back the part of a line that a full disk cut off, unless somebody else has written behind it. Where that
    /// cannot be done, and in a stream, the rest of the line follows later.
    private mutating func mendTornLine() {
        guard torn > 0, let size = sizeWhenTorn, fileSize == size else { return }
        if file?.truncate(to: size - Int64(torn)) == true { torn = 0 }
    }

    /// A file that is not as the torn line left it was written or emptied by somebody else: the line is written anew.
    private mutating func forgetForeignTear() {
        if torn > 0, let size = sizeWhenTorn, fileSize != size { torn = 0 }
    }

    /// Of a regular file; `nil` for a stream.
    private var fileSize: Int64? {
        switch file {
        case .some(let file): file.size
        case .none: nil
        }
    }

    private mutating func letGo() {
        file = nil
        torn = 0
        sizeWhenTorn = nil
    }

    private mutating func forgetWritten() {
        if isEmpty {
            text.removeAll(keepingCapacity: true)
            lines.removeAll(keepingCapacity: true)
        } else if sent > EventFileWriter.backlog / 2 {
            text.removeFirst(sent)
            lines.removeFirst(done)
        } else {
            return
        }
        done = 0
        sent = 0
    }
}
