// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import Locking

/// What changes with a file. Whoever puts a new file in the place of an old one changes all of it.
struct FileStamp: Equatable, Sendable {
    let device, inode: UInt64
    let size: Int64
    let modified, changed: [Int]

    /// Nil where there is no such file.
    init?(of path: String) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        (device, inode, size) = (UInt64(status.st_dev), UInt64(status.st_ino), Int64(status.st_size))
        modified = [status.st_mtim.tv_sec, status.st_mtim.tv_nsec]
        changed = [status.st_ctim.tv_sec, status.st_ctim.tv_nsec]
    }
}

/// Looks at files twice a second from a thread of its own. Where the server of one does not answer, that thread waits, and nobody
/// else does.
final class FileStamps: Sendable {
    private struct State {
        var wanted: Set<String> = []
        var stamps: [String: FileStamp] = [:]
        /// The files that `stamps` are of.
        var of: Set<String> = []
        var isRunning = false
    }

    private let state = Guarded(State())
    private let look: @Sendable (String) -> FileStamp?
    private static let pause: UInt32 = 500_000

    init(look: @escaping @Sendable (String) -> FileStamp? = { FileStamp(of: $0) }) { self.look = look }

    /// As they were when they were looked at last; of those that are there. Nil where these have not been looked at yet. Waits for
    /// nothing.
    func stamps(of files: Set<String>) -> [String: FileStamp]? {
        let (stamps, begins) = state.withLock { state in
            state.wanted = files
            let begins = !state.isRunning && !files.isEmpty
            if begins { state.isRunning = true }
            return (state.of == files ? state.stamps : nil, begins)
        }
        // It ends with the process: whoever waited for it might wait for a file's server.
        if begins { _ = Thread.start(name: "lists") { self.run() } }
        return stamps
    }

    /// The thread's body; it ends when there is nothing to look at.
    private func run() {
        while true {
            let wanted = state.withLock { state in
                if state.wanted.isEmpty { (state.isRunning, state.of) = (false, []) }
                return state.wanted
            }
            guard !wanted.isEmpty else { return }
            var stamps: [String: FileStamp] = [:]
            for file in wanted { stamps[file] = look(file) }
            state.withLock { ($0.of, $0.stamps) = (wanted, stamps) }
            usleep(Self.pause)
        }
    }
}
