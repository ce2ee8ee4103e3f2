// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import CSpawnShim
import Glibc

/// Runs other programs and waits for them.
///
/// What goes in and comes out lies in memory files rather than pipes: no program can block on a pipe that nobody empties,
/// and nothing has to be read and written at once.
struct Program {
    struct Result {
        /// Exit status, or 128 and the number of the signal that ended it.
        var status: Int32
        var output: String
        var errors: String

        /// What it complained of, in one line.
        var complaint: String {
            let lines = errors.split(whereSeparator: \.isNewline).map(String.init)
            return lines.isEmpty ? "exit status \(status)" : lines.joined(separator: "; ")
        }
    }

    enum Failure: Error, CustomStringConvertible {
        case notFound(String)
        case failed(String, String)

        var description: String {
            switch self {
            case .notFound(let name):
                "\(name) is not installed; on Debian: apt install \(name == "nft" ? "nftables" : "iptables")"
            case .failed(let name, let detail): "\(name): \(detail)"
            }
        }
    }

    /// Runs `name` from PATH, or from the directories for administrators, which an ordinary user's PATH does not have.
    static func run(_ name: String, _ arguments: [String] = [], input: String = "") throws(Failure) -> Result {
        let files = [cspawn_memory_file(), cspawn_memory_file(), cspawn_memory_file()]
        defer { files.forEach { close($0) } }
        write(input, to: files[0])
        for path in [name, "/usr/sbin/\(name)", "/sbin/\(name)"] {
            var process = pid_t()
            let error = unsafe withCStrings([name] + arguments) { arguments in
                unsafe cspawn_attached(path, arguments, files, &process)
            }
            if error == ENOENT { continue }
            guard error == 0 else { throw .failed(name, SystemError.text(error)) }
            let status = wait(for: process)
            return Result(status: status, output: contents(files[1]), errors: contents(files[2]))
        }
        throw .notFound(name)
    }

    private static func wait(for process: pid_t) -> Int32 {
        var status: CInt = 0
        while unsafe waitpid(process, &status, 0) < 0 && errno == EINTR {}
        let signal = status & 0x7f
        return signal == 0 ? status >> 8 & 0xff : 128 + signal
    }

    private static func write(_ text: String, to file: CInt) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress, $0.count) }
            guard count > 0 else { break }
            bytes = bytes.dropFirst(count)
        }
        lseek(file, 0, SEEK_SET)
    }

    private static func contents(_ file: CInt) -> String {
        lseek(file, 0, SEEK_SET)
        return String(decoding: readAll(file), as: UTF8.self)
    }
}

/// Calls `body` with the strings as C has them, ended by a null pointer.
func withCStrings<Value>(_ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Value) -> Value {
    let copies = unsafe strings.map { unsafe strdup($0) }
    defer { unsafe copies.forEach { unsafe free($0) } }
    return unsafe body(copies + [nil])
}

/// Everything from where the file stands to its end.
func readAll(_ file: CInt) -> [UInt8] {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    while true {
        let count = unsafe chunk.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
        guard count > 0 else { return bytes }
        bytes.append(contentsOf: chunk[..<count])
    }
}

/// The first byte of a file; nil where it cannot be read, or has none.
func firstByte(of path: String) -> UInt8? {
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var byte: UInt8 = 0
    return unsafe read(file, &byte, 1) == 1 ? byte : nil
}

/// A small file as text; nil where it cannot be read.
func readText(_ path: String) -> String? {
    let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    return String(decoding: readAll(file), as: UTF8.self)
}
