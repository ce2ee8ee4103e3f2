// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// What rotations have left of an events file, oldest first: every file beside it whose name says that it was one of its
/// predecessors, as logrotate and people name them.
///
/// For `events.jsonl` these are `events.jsonl.1`, `events.jsonl-20261121`, `events.jsonl.old`, `events-20261121.jsonl`, each also
/// with `.gz` behind it. Their order is that of their first records, not that of their names.
package struct EventHistory: Sendable {
    package struct Past: Sendable, Hashable {
        package let path: String
        /// Of the last change: no record in the file is newer. Microseconds since 1970.
        package let modified: Int64
        /// Of its first record; `modified` where it has none.
        let began: Int64
    }

    package private(set) var files: [Past] = []
    /// Predecessors whose compression is not known here, and those that cannot be read.
    package private(set) var unreadable: [ReadError] = []

    /// - Parameters:
    ///   - path: the events file. What is no regular file has no predecessors.
    ///   - identity: of the file that is read there; it may be renamed at this moment.
    init(of path: String, without identity: FileIdentity?) {
        var seen: Set<FileIdentity> = []
        var status = stat()
        if unsafe stat(path, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFREG else { return }
            seen.insert(FileIdentity(status))
        }
        if let identity { seen.insert(identity) }
        let (directory, base) = EventHistory.split(path)
        let names = EventHistory.names(in: directory)
        for name in names {
            guard let kind = RotatedName(name, of: base) else { continue }
            // While gzip is at work there are both, and the compressed one is not complete.
            if kind.isCompressed, names.contains(kind.uncompressed) && kind.uncompressed != base { continue }
            add(directory + name, kind, &seen)
        }
        files.sort { ($0.began, $0.modified, $0.path) < ($1.began, $1.modified, $1.path) }
    }

    private mutating func add(_ path: String, _ kind: RotatedName, _ seen: inout Set<FileIdentity>) {
        var status = stat()
        guard unsafe stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
            seen.insert(FileIdentity(status)).inserted
        else { return }
        guard kind.canBeRead else {
            unreadable.append(ReadError(path: path, reason: "decompress it first, or compress with gzip"))
            return
        }
        do throws(ReadError) {
            let modified = Int64(status.st_mtim.tv_sec) * 1_000_000 + Int64(status.st_mtim.tv_nsec) / 1000
            files.append(Past(path: path, modified: modified, began: try EventHistory.began(path) ?? modified))
        } catch {
            unreadable.append(error)
        }
    }

    /// The time of the first record.
    private static func began(_ path: String) throws(ReadError) -> Int64? {
        var file = try RotatedFile(path: path)
        // What is wrong further on is found when all of it is read.
        for _ in 0..<linesWithoutRecord {
            guard let line = try? file.next() else { return nil }
            if let event = LoggedEvent(line: line) { return event.time }
        }
        return nil
    }

    /// Lines at the beginning among which a file of events has one.
    private static let linesWithoutRecord = 100

    /// The directory with its slash, and the name in it.
    private static func split(_ path: String) -> (directory: String, name: String) {
        guard let slash = path.lastIndex(of: "/") else { return ("./", path) }
        return (String(path[...slash]), String(path[path.index(after: slash)...]))
    }

    private static func names(in directory: String) -> Set<String> {
        guard let stream = unsafe opendir(directory) else { return [] }
        defer { unsafe closedir(stream) }
        var names: Set<String> = []
        while let entry = unsafe readdir(stream) {
            names.insert(
                unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                    unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                })
        }
        return names
    }
}

/// What the name of a rotated file says.
struct RotatedName: Equatable {
    let isCompressed: Bool
    let canBeRead: Bool
    /// The name before it was compressed.
    let uncompressed: String

    /// `nil` for the name of another file.
    init?(_ name: String, of base: String) {
        let suffix = ["gz", "xz", "bz2", "zst", "lz4", "Z"].first { name.hasSuffix(".\($0)") }
        isCompressed = suffix != nil
        canBeRead = suffix == nil || suffix == "gz"
        uncompressed = suffix.map { String(name.dropLast($0.count + 1)) } ?? name
        if uncompressed == base {
            guard isCompressed else { return nil }
        } else {
            guard RotatedName.isRotation(uncompressed, of: base) else { return nil }
        }
    }

    /// Something was appended (`events.jsonl.1`, `events.jsonl-20261121`, `events.jsonl.old`), or a number or date stands before
    /// the extension (`events-20261121.jsonl`).
    private static func isRotation(_ name: String, of base: String) -> Bool {
        if name.hasPrefix(base) {
            let rest = name.dropFirst(base.count)
            return rest.count > 1 && ".-_".contains(rest.first ?? " ")
        }
        guard let dot = base.lastIndex(of: "."), dot != base.startIndex else { return false }
        let (stem, ending) = (base[..<dot], base[dot...])
        guard name.hasPrefix(stem), name.hasSuffix(ending), name.count > stem.count + ending.count + 1 else {
            return false
        }
        let middle = name.dropFirst(stem.count).dropLast(ending.count)
        return ".-_".contains(middle.first ?? " ") && middle.dropFirst().first?.isNumber == true
    }
}
