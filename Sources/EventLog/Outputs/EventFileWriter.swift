// SPDX-License-Identifier: GPL-3.0-or-later

/// Brings lines into the event file, whatever happens to it.
///
/// A line is in the file whole or not at all: what a full disk cut off is taken back, or completed later where the file
/// is a stream. A file that was removed or rotated away is noticed before the next line and made anew. Nothing waits for a
/// reader.
final class EventFileWriter {
    private(set) var path: String
    private var file: EventFile?
    /// Bytes of the first waiting line that the file has already, and its size with them.
    private(set) var torn = 0
    private var sizeWhenTorn: Int64?
    /// The file has to be opened although no line waits.
    private(set) var mustOpen = false

    /// Opens nothing yet.
    init(path: String) { self.path = path }

    /// Opens the file now, to learn at the start whether it can be written.
    func open() throws(EventFileError) {
        if file == nil { file = try EventFile(opening: path) }
        mustOpen = false
    }

    /// Closes the file; the next `send` opens, and makes, what `path` then leads to.
    func reopen(path: String? = nil) {
        close()
        mustOpen = true
        self.path = path ?? self.path
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
            throw error
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
        try open()
        forgetForeignTear()
        while !backlog.isEmpty {
            let sizeBefore = fileSize
            let count = try file?.write(backlog.text, from: backlog.start + torn) ?? 0
            torn = backlog.noteArrived(torn + count)
            sizeWhenTorn = torn > 0 ? sizeBefore.map { $0 + Int64(count) } : nil
        }
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
