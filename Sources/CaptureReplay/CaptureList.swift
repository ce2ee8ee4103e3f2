// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// The files that stand for what a command line names: files and `-` as they are, in its order, and of a folder every file in it and in
/// its folders whose name is a capture's, in the order of their paths' bytes.
package struct CaptureList: Sendable {
    package private(set) var paths: [String] = []
    /// Folders without a capture, and those that cannot be read, each with why.
    package private(set) var problems: [String] = []

    /// What captures are called, compressed or not; `dumpcap` and `tcpdump -C` append numbers.
    private static let endings = ["pcap", "pcapng", "cap", "dmp", "ntar"]
    private static let compressed = ["gz", "xz", "zst", "bz2", "lz4"]
    private static let deepest = 64

    package init(_ names: [String]) {
        for name in names {
            guard name != "-", Self.isFolder(name, following: true) else {
                paths.append(name)
                continue
            }
            var found: [String] = []
            collect(name.hasSuffix("/") && name != "/" ? String(name.dropLast()) : name, depth: 0, into: &found)
            if found.isEmpty {
                problems.append("\(name): no file in it has a capture's name, such as a.pcap or a.pcapng.gz")
            }
            paths += found.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        }
    }

    /// Links to folders are not followed: they may lead round in a circle.
    private mutating func collect(_ folder: String, depth: Int, into found: inout [String]) {
        guard let directory = unsafe opendir(folder) else {
            problems.append("\(folder): \(unsafe String(cString: strerror(errno)))")
            return
        }
        defer { unsafe closedir(directory) }
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard name != ".", name != ".." else { continue }
            let path = folder + "/" + name
            if Self.isFolder(path, following: false) {
                if depth < Self.deepest { collect(path, depth: depth + 1, into: &found) }
            } else if Self.isCapture(name) {
                found.append(path)
            }
        }
    }

    /// `a.pcap`, `a.pcapng.gz`, `a.pcap3`.
    static func isCapture(_ name: String) -> Bool {
        var parts = name.lowercased().split(separator: ".", omittingEmptySubsequences: false)
        if parts.count > 2, compressed.contains(String(parts[parts.count - 1])) { parts.removeLast() }
        guard parts.count > 1, let last = parts.last else { return false }
        let word = last.reversed().drop { $0.isASCII && $0.isNumber }.reversed()
        return endings.contains(String(word))
    }

    private static func isFolder(_ path: String, following: Bool) -> Bool {
        var kind = stat()
        let status = following ? unsafe stat(path, &kind) : unsafe lstat(path, &kind)
        return status == 0 && kind.st_mode & S_IFMT == S_IFDIR
    }
}
