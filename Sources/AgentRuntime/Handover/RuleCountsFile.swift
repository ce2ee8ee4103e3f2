// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// The file by which one run of the agent tells the next how often each rule has decided. Believed only if it is a plain file of
/// this agent's user that nobody else can write.
struct RuleCountsFile {
    let path: String

    /// More than any policy's rules take.
    private static let most = 64 << 20

    /// Why a file is not used.
    struct Trouble: Error, CustomStringConvertible {
        let description: String
    }

    /// Nil where there is none.
    func read() throws(Trouble) -> [RuleLedger.Identity: RuleLedger.Entry]? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw trouble("it cannot be opened: \(unsafe String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        let text = String(decoding: try content(descriptor), as: UTF8.self)
        do {
            return try RuleLedger.read(text)
        } catch {
            throw trouble("\(error)")
        }
    }

    private func content(_ descriptor: Int32) throws(Trouble) -> [UInt8] {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else {
            throw trouble("it cannot be looked at: \(unsafe String(cString: strerror(errno)))")
        }
        guard status.st_mode & S_IFMT == S_IFREG else { throw trouble("it is no plain file") }
        guard status.st_uid == geteuid() else { throw trouble("it belongs to user \(status.st_uid)") }
        guard status.st_mode & 0o022 == 0 else { throw trouble("others than its owner may write it") }
        guard status.st_size <= Self.most else {
            throw trouble("it has \(status.st_size) bytes, more than \(Self.most)")
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var length = 0
        while length < bytes.count {
            let got = unsafe bytes.withUnsafeMutableBytes {
                unsafe Glibc.pread(
                    descriptor, $0.baseAddress.map { unsafe $0 + length }, $0.count - length, off_t(length))
            }
            if got < 0 && errno == EINTR { continue }
            guard got > 0 else { break }
            length += got
        }
        bytes.removeLast(bytes.count - length)
        return bytes
    }

    private func trouble(_ what: String) -> Trouble { Trouble(description: "\(path) is not used: \(what)") }

    /// A file that cannot be written costs the counts at the next start, and nothing else. False: it could not.
    func write(_ text: String) -> Bool { SmallFile.replace(path, with: text) }
}
