// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import Locking
import Testing

@testable import AgentRuntime

@Suite("Looking at files")
struct FileStampsTests {
    private func look(_ stamps: FileStamps, _ files: Set<String>) -> [String: FileStamp] {
        while true {
            if let found = stamps.stamps(of: files) { return found }
            usleep(10_000)
        }
    }

    @Test("whoever asks does not wait for a server that does not answer")
    func hanging() {
        let isAnswering = Guarded(false)
        let isAsked = Guarded(false)
        let stamps = FileStamps { path in
            isAsked.withLock { $0 = true }
            while !isAnswering.withLock({ $0 }) { usleep(10_000) }
            return FileStamp(of: path)
        }
        #expect(stamps.stamps(of: ["/etc/passwd"]) == nil)
        while !isAsked.withLock({ $0 }) { usleep(10_000) }
        #expect(stamps.stamps(of: ["/etc/passwd"]) == nil, "it is still being looked at")
        isAnswering.withLock { $0 = true }
        #expect(look(stamps, ["/etc/passwd"])["/etc/passwd"] != nil)
    }

    @Test("a file that takes another's place has another stamp, and one that is gone none")
    func replaced() throws {
        let directory = "/tmp/portreeve-stamps.\(getpid())"
        let (path, new) = ("\(directory)/list", "\(directory)/list.new")
        #expect(unsafe mkdir(directory, 0o700) == 0)
        defer { for name in [path, new, directory] { unsafe remove(name) } }
        func write(_ path: String) { close(unsafe open(path, O_WRONLY | O_CREAT, 0o600)) }
        write(path)
        let before = FileStamp(of: path)
        #expect(before != nil && before == FileStamp(of: path))
        write(new)
        #expect(unsafe rename(new, path) == 0)
        #expect(FileStamp(of: path) != before)
        let stamps = FileStamps()
        #expect(look(stamps, [path, new]) == [path: FileStamp(of: path)].compactMapValues { $0 })
        _ = stamps.stamps(of: [])
    }
}
