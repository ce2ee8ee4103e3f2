// SPDX-License-Identifier: GPL-3.0-or-later

/// What brings lines to where an output sends them; each kind stands in a file of its own beside this one.
enum OutputTarget {
    case file(EventFileWriter)

    init(_ target: OutputSettings.Target) {
        switch target {
        case .file(let path): self = .file(EventFileWriter(path: path))
        }
    }

    /// As status says it.
    var text: String {
        switch self {
        case .file(let writer): writer.path
        }
    }

    /// The target has to be opened although no line waits.
    var mustOpen: Bool {
        switch self {
        case .file(let writer): writer.mustOpen
        }
    }

    /// Bytes of the first waiting line that it has already.
    var torn: Int {
        switch self {
        case .file(let writer): writer.torn
        }
    }

    /// What can be waited for, or -1.
    var descriptor: Int32 {
        switch self {
        case .file(let writer): writer.descriptor
        }
    }

    func open() throws(OutputError) {
        switch self {
        case .file(let writer):
            do throws(EventFileError) { try writer.open() } catch { throw error.ofOutput }
        }
    }

    /// Sends what waits, up to the first failure. Never waits for a reader.
    func send(_ backlog: inout EventBacklog) throws(OutputError) {
        switch self {
        case .file(let writer):
            do throws(EventFileError) { try writer.send(&backlog) } catch { throw error.ofOutput }
        }
    }

    func reopen() {
        switch self {
        case .file(let writer): writer.reopen()
        }
    }

    /// Goes to another place of the same kind, or becomes of another kind.
    mutating func follow(_ target: OutputSettings.Target) {
        switch (self, target) {
        case (.file(let writer), .file(let path)): writer.reopen(path: path)
        }
    }

    /// Waits until a slow reader takes bytes again, at most so long.
    func waitUntilWritable(milliseconds: Int32) {
        switch self {
        case .file(let writer): writer.waitUntilWritable(milliseconds: milliseconds)
        }
    }

    func close() {
        switch self {
        case .file(let writer): writer.close()
        }
    }
}
