// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// What /proc says of processes. Of other users' it may say nothing, and then there is nothing here.
enum ProcessFiles {
    /// A small file as text; nil where it cannot be read.
    static func text(_ path: String) -> String? {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count < 64 << 20 {
            let count = unsafe read(file, &chunk, chunk.count)
            guard count > 0 else { return count == 0 ? String(decoding: bytes, as: UTF8.self) : nil }
            bytes += chunk[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    static func names(in directory: String) -> [String] {
        guard let stream = unsafe opendir(directory) else { return [] }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names
    }

    static func link(_ path: String) -> String? {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = unsafe bytes.withUnsafeMutableBytes { bytes in
            guard let start = unsafe bytes.baseAddress?.assumingMemoryBound(to: CChar.self) else { return 0 }
            return unsafe readlink(path, start, bytes.count)
        }
        return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
    }

    static var all: [pid_t] { names(in: "/proc").compactMap { pid_t($0) } }

    /// A process and those above it, the nearest first.
    static func lineage(of process: pid_t) -> [pid_t] {
        var lineage: [pid_t] = []
        var process = process
        while process > 1, lineage.count < 64, !lineage.contains(process) {
            lineage.append(process)
            process = parent(of: process)
        }
        return lineage
    }

    /// The fourth field of /proc/PID/stat, after the name in parentheses; 0 where there is none.
    private static func parent(of process: pid_t) -> pid_t { stat(process, 1).flatMap { pid_t($0) } ?? 0 }

    /// The number of its controlling terminal; 0 without one.
    static func terminal(of process: pid_t) -> UInt32 {
        stat(process, 4).flatMap { Int32($0) }.map { UInt32(bitPattern: $0) } ?? 0
    }

    /// Fields of /proc/PID/stat (proc(5)), 0 the first after the name.
    private static func stat(_ process: pid_t, _ field: Int) -> Substring? {
        guard let stat = text("/proc/\(process)/stat"), let end = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: end)...].split(separator: " ")
        return field < fields.count ? fields[field] : nil
    }

    static func name(of process: pid_t) -> String {
        text("/proc/\(process)/comm")?.split(separator: "\n").first.map(String.init) ?? ""
    }

    static func environment(of process: pid_t) -> [Substring] {
        text("/proc/\(process)/environ")?.split(separator: "\0") ?? []
    }

    /// Inodes of the sockets that a process has open.
    static func sockets(of process: pid_t) -> [UInt64] {
        names(in: "/proc/\(process)/fd").compactMap { name in
            guard let target = link("/proc/\(process)/fd/\(name)"), target.hasPrefix("socket:[") else { return nil }
            return UInt64(target.dropFirst("socket:[".count).dropLast())
        }
    }
}
