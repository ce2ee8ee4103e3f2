// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import Glibc
import PolicyFile

/// `-` in the place of a file's name.
enum StandardInput {
    static let name = "-"
    /// What messages call it.
    static let title = "<stdin>"

    /// All of it, read once however often it is asked for.
    static let bytes: [UInt8] = readAll(STDIN_FILENO)

    /// The path itself, or for `-` that of a copy which may be read more than once and goes with this program.
    static func path(for path: String) throws -> String { path == name ? try copy.get() : path }

    /// What to call it.
    static func title(of path: String) -> String { path == name ? title : path.harmless }

    private static let copy: Result<String, CopyFault> = {
        guard let file = unsafe tmpfile() else { return .failure(CopyFault(errno)) }
        let descriptor = unsafe fileno(file)
        var chunk = [UInt8](repeating: 0, count: 256 << 10)
        while true {
            let count = unsafe read(STDIN_FILENO, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return .failure(CopyFault(errno)) }
            guard count > 0 else { return .success("/proc/self/fd/\(descriptor)") }
            var rest = chunk[..<count]
            while !rest.isEmpty {
                let written = unsafe rest.withUnsafeBytes { unsafe write(descriptor, $0.baseAddress, $0.count) }
                guard written > 0 else { return .failure(CopyFault(errno)) }
                rest = rest.dropFirst(written)
            }
        }
    }()

    /// Why there is no copy.
    struct CopyFault: Error, CustomStringConvertible {
        let description: String
        init(_ number: CInt) {
            description = "standard input cannot be kept: \(unsafe String(cString: strerror(number)))"
        }
    }
}

extension PolicyFile {
    /// As `read`; standard input is a policy without drop-in files, whose lists are looked for in this directory.
    static func reading(
        _ path: String, for use: PolicyUse = .queue, adding additions: [(name: String, text: [UInt8])] = []
    ) -> Outcome {
        guard path == StandardInput.name else { return read(path, for: use, adding: additions) }
        return parse([(StandardInput.title, StandardInput.bytes)] + additions, for: use)
    }

    static func loading(_ path: String, for use: PolicyUse = .queue) throws(PolicyFileError) -> PolicyDocument {
        try reading(path, for: use).get()
    }
}
