// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// Small files, such as those of /proc, whole or by lines.
enum SmallFile {
    private static let most = 16 << 20

    static func read(_ path: String) -> String? {
        var bytes: [UInt8] = []
        return forEachChunk(path) { bytes += $0 } ? String(decoding: bytes, as: UTF8.self) : nil
    }

    /// Writes a file whole or not at all, for its owner alone. What cannot be written is not.
    @discardableResult
    static func replace(_ path: String, with text: String) -> Bool {
        let new = path + ".new"
        _ = unsafe unlink(new)
        let descriptor = unsafe open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { return false }
        let isWhole = unsafe Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count
        close(descriptor)
        if isWhole, unsafe rename(new, path) == 0 { return true }
        _ = unsafe unlink(new)
        return false
    }

    /// Reads no further than until `body` returns false. A file that cannot be read has no lines.
    static func forEachLine(_ path: String, _ body: (String) -> Bool) {
        var rest: [UInt8] = []
        var goesOn = true
        _ = forEachChunk(path, while: { goesOn }) { chunk in
            rest += chunk
            var start = 0
            while goesOn, let end = rest[start...].firstIndex(of: UInt8(ascii: "\n")) {
                goesOn = body(String(decoding: rest[start..<end], as: UTF8.self))
                start = end + 1
            }
            rest.removeFirst(start)
        }
    }

    /// False where it cannot be read.
    private static func forEachChunk(
        _ path: String, while goesOn: () -> Bool = { true }, _ body: (ArraySlice<UInt8>) -> Void
    ) -> Bool {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var chunk = [UInt8](repeating: 0, count: 65536)
        var total = 0
        while total < most && goesOn() {
            let n = unsafe Glibc.read(descriptor, &chunk, chunk.count)
            if n < 0 && errno == EINTR { continue }
            guard n > 0 else { return n == 0 }
            total += n
            body(chunk[..<n])
        }
        return true
    }
}
