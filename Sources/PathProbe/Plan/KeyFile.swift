// SPDX-License-Identifier: GPL-3.0-or-later

internal import Glibc

/// The pre-shared key: a file of 64 hexadecimal digits that nobody but its owner may read.
package enum KeyFile {
    package struct Fault: Error, Hashable, Sendable, CustomStringConvertible {
        package var description: String
    }

    private static let leastBytes = 16

    package static func read(_ path: String) throws(Fault) -> SecretKey {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard file >= 0 else { throw Fault(description: "\(path): \(SystemFault(errno))") }
        defer { close(file) }
        var status = stat()
        guard unsafe fstat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw Fault(description: "\(path): found no plain file, expected one with a key")
        }
        // What systemd hands out as a credential is for its service alone, and says so in an access list, of which the group's
        // rights are the mask.
        guard status.st_mode & (isCredential(path) ? 0o037 : 0o077) == 0 else {
            let mode = String(status.st_mode & 0o777, radix: 8)
            throw Fault(
                description: "\(path): found mode \(mode), expected a key that only its owner reads; chmod 600 \(path)")
        }
        var text = [UInt8](repeating: 0, count: 1_024)
        let count = unsafe text.withUnsafeMutableBytes { unsafe Glibc.read(file, $0.baseAddress, $0.count) }
        let digits = String(decoding: text.prefix(max(0, count)), as: UTF8.self).filter { !$0.isWhitespace }
        guard let key = bytes(hexadecimal: digits), key.count >= leastBytes else {
            throw Fault(
                description: "\(path): found no key, expected at least \(2 * leastBytes) hexadecimal digits; "
                    + "portreeve reflect --new-key FILE makes one")
        }
        return SecretKey(key)
    }

    private static func isCredential(_ path: String) -> Bool {
        guard let folder = unsafe getenv("CREDENTIALS_DIRECTORY") else { return false }
        return path.hasPrefix(unsafe String(cString: folder) + "/")
    }

    /// Writes a new key of 32 random bytes. A file that is there is left alone.
    package static func create(_ path: String) throws(Fault) {
        guard let key = try? randomBytes(32) else { throw Fault(description: "no random bytes") }
        let file = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw Fault(description: "\(path): \(SystemFault(errno))") }
        defer { close(file) }
        let line = Array("\(hexadecimal(key))\n".utf8)
        let count = unsafe line.withUnsafeBytes { unsafe write(file, $0.baseAddress, $0.count) }
        guard count == line.count else {
            unsafe unlink(path)
            throw Fault(description: "\(path): \(SystemFault(errno))")
        }
    }
}
