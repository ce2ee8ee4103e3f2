// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import Glibc

/// Brings lines into the event file, whatever happens to it.
///
/// A line is in the file whole or not at all: what a full disk cut off is taken back, or completed later where the file
/// is a stream. A file that was removed or rotated away is noticed before the next line and made anew. Nothing waits for a
/// reader.
final class EventFileWriter {
    private(set) var path: String
    private var rotation: EventRotation
    /// Why the file cannot be rotated; it grows on.
    private(set) var warning: String?
    private var file: EventFile?
    /// Bytes of the first waiting line that the file has already, and its size with them.
    private(set) var torn = 0
    private var sizeWhenTorn: Int64?
    /// The file has to be opened although no line waits.
    private(set) var mustOpen = false

    /// Makes the file a capture; nil for lines.
    let capture: CaptureForm?
    /// The file was opened and has not got what a capture begins with.
    private var needsPrologue = false

    /// Opens nothing yet.
    init(path: String, rotation: EventRotation = EventRotation(size: nil), capture: CaptureForm? = nil) {
        self.path = path
        self.rotation = rotation
        self.capture = capture
    }

    /// Opens the file now, to learn at the start whether it can be written.
    func open() throws(EventFileError) {
        do throws(EventFileError) { try openFile() } catch { throw ofSection(error) }
    }

    private func openFile() throws(EventFileError) {
        if file == nil {
            let opened = try EventFile(opening: path, capture == nil ? .lines : .capture)
            if capture != nil { try opened.endTornBlock() }
            file = consume opened
            needsPrologue = capture != nil
        }
        mustOpen = false
    }

    /// Closes the file; the next `send` opens, and makes, what `path` then leads to.
    func reopen() {
        close()
        mustOpen = true
    }

    /// Does as the policy says now.
    func follow(path: String, rotation: EventRotation) {
        if path != self.path { reopen() }
        self.path = path
        self.rotation = rotation
        warning = nil
    }

    func close() {
        file = nil
        torn = 0
        sizeWhenTorn = nil
    }

    /// Writes what waits, up to the first failure.
    func send(_ backlog: inout EventBacklog) throws(EventFileError) {
        do throws(EventFileError) {
            try writeAll(&backlog)
        } catch {
            mendTornLine()
            // The next reader of a FIFO gets whole lines.
            if error.cause == .hasNoReader { close() }
            throw ofSection(error)
        }
    }

    /// Of an open stream; -1 where there is none.
    var descriptor: Int32 {
        switch file {
        case .some(let file): file.kind == .stream ? file.descriptor : -1
        case .none: -1
        }
    }

    /// Waits until a slow reader takes bytes again, at most so long.
    func waitUntilWritable(milliseconds: Int32) { file?.waitUntilWritable(milliseconds: milliseconds) }
}

extension EventFileWriter {
    private func writeAll(_ backlog: inout EventBacklog) throws(EventFileError) {
        if let isInPlace = file?.isInPlace, !isInPlace { close() }
        try openFile()
        forgetForeignTear()
        while !backlog.isEmpty {
            let end = try makeRoom(for: backlog)
            try begin(backlog)
            let sizeBefore = fileSize
            let count = try file?.write(backlog.text, from: backlog.start + torn, to: end) ?? 0
            torn = backlog.noteArrived(torn + count)
            sizeWhenTorn = torn > 0 ? sizeBefore.map { $0 + Int64(count) } : nil
        }
    }

    /// Ends a file that has no room for the next line, and begins the next one.
    ///
    /// - Returns: the end of the lines that have room; the end of all where no size is set.
    private func makeRoom(for backlog: borrowing EventBacklog) throws(EventFileError) -> Int {
        guard let size = rotation.size, let used = fileSize else { return backlog.text.count }
        let limit = Int64(size)
        if torn == 0, used > 0, used + Int64(backlog.firstLength) > limit {
            do throws(EventFileError) {
                try RotatedFiles(path: path).rotate(keep: Int(rotation.keep))
                warning = nil
            } catch {
                // An event that is written is worth more than a bound that is kept.
                warning = ofSection(error).description
                return backlog.text.count
            }
            close()
            try openFile()
            try begin(backlog)
        }
        return backlog.end(within: limit - (fileSize ?? 0), torn: torn)
    }

    /// Writes what a capture begins with, whole or not at all. What a file holds already is a section of its own before it.
    private func begin(_ backlog: borrowing EventBacklog) throws(EventFileError) {
        guard needsPrologue, let capture else { return }
        let prologue = capture.prologue(of: backlog)
        let before = fileSize
        do throws(EventFileError) {
            let count = try file?.write(prologue, from: 0, to: prologue.count) ?? 0
            guard count == prologue.count else { throw EventFileError(path: path, cause: .cannotWrite(ENOSPC)) }
            needsPrologue = false
        } catch {
            if let before { _ = file?.truncate(to: before) } else { close() }
            throw error
        }
    }

    private func ofSection(_ error: EventFileError) -> EventFileError {
        var error = error
        if capture != nil { error.section = "events.capture" }
        return error
    }

    /// Takes back the part of a line that a full disk cut off, unless somebody else has written behind it. Where that
    /// cannot be done, and in a stream, the rest of the line follows later.
    private func mendTornLine() {
        guard torn > 0, let size = sizeWhenTorn, fileSize == size else { return }
        if file?.truncate(to: size - Int64(torn)) == true { torn = 0 }
    }

    /// A file that is not as the torn line left it was written or emptied by somebody else: the line is written anew.
    private func forgetForeignTear() {
        if torn > 0, let size = sizeWhenTorn, fileSize != size { torn = 0 }
    }

    /// Of a regular file; `nil` for a stream.
    private var fileSize: Int64? {
        switch file {
        case .some(let file): file.size
        case .none: nil
        }
    }
}

extension EventFileError {
    var ofOutput: OutputError { OutputError(description: description, mayPassSoon: cause == .readerDoesNotRead) }
}
