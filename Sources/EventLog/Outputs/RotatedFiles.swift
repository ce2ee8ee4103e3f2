// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// The files that an event file has become: `PATH.1` is the youngest, and what somebody compressed ends in `.gz`.
///
/// The names are logrotate's, so that both may rotate one file and `portreeve events` reads all of them in their order.
struct RotatedFiles {
    let path: String

    /// Gives the file the name `PATH.1`, after each other one was given the next number. What would have a number above `keep`
    /// is removed.
    func rotate(keep: Int) throws(EventFileError) {
        for attempt in 1...3 {
            try shift(keep: keep)
            // Whoever else rotates may have made a PATH.1 by now.
            if move(path, name(1, ""), replacing: false) { return }
            guard errno == EEXIST, attempt < 3 else { throw EventFileError(path: path, cause: .cannotRotate(errno)) }
        }
    }

    private func shift(keep: Int) throws(EventFileError) {
        let files = present()
        for file in files where file.number >= keep { remove(file) }
        // Up to the first number that is free; what lies beyond a gap need not move.
        var free = 1
        while files.contains(where: { $0.number == free && $0.number < keep }) { free += 1 }
        for number in (1..<free).reversed() {
            for file in files where file.number == number {
                guard move(name(number, file.ending), name(number + 1, file.ending), replacing: true) || errno == ENOENT
                else { throw EventFileError(path: path, cause: .cannotRotate(errno)) }
            }
        }
    }

    private struct File {
        let number: Int
        let ending: String
    }

    private func name(_ number: Int, _ ending: String) -> String { "\(path).\(number)\(ending)" }

    private func remove(_ file: File) { _ = unsafe unlink(name(file.number, file.ending)) }

    /// What the directory holds of them, in no order.
    private func present() -> [File] {
        let slash = path.lastIndex(of: "/")
        let directory = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let prefix = (slash.map { String(path[path.index(after: $0)...]) } ?? path) + "."
        guard let stream = unsafe opendir(directory) else { return [] }
        defer { unsafe closedir(stream) }
        var files: [File] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { field in
                unsafe field.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name.hasPrefix(prefix), let file = RotatedFiles.file(name.dropFirst(prefix.count)) { files.append(file) }
        }
        return files
    }

    /// From what follows the name of the event file and a full stop.
    private static func file(_ text: Substring) -> File? {
        let isCompressed = text.hasSuffix(".gz")
        let digits = isCompressed ? text.dropLast(3) : text
        guard let number = Int(digits), number > 0, String(number) == digits else { return nil }
        return File(number: number, ending: isCompressed ? ".gz" : "")
    }

    private func move(_ from: String, _ to: String, replacing: Bool) -> Bool {
        // link(2) never replaces. Where it is not to be had, as on FAT, rename(2) does.
        if !replacing, unsafe link(from, to) == 0 { return unsafe unlink(from) == 0 }
        guard replacing || errno == EPERM || errno == ENOTSUP else { return false }
        return unsafe rename(from, to) == 0
    }
}
