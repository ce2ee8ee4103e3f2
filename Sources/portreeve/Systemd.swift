// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// What of systemd the rules need.
enum Systemd {
    /// Whether it runs this machine and its units live in this network namespace: one that it starts elsewhere would change
    /// the rules of another.
    static var runsHere: Bool {
        unsafe access("/run/systemd/system", F_OK) == 0
            && readLink("/proc/1/ns/net").map { $0 == readLink("/proc/self/ns/net") } ?? false
    }

    /// Starts `arguments` in so many seconds, as a transient unit that no session owns; says whether that worked.
    static func start(_ arguments: [String], unit: String, afterSeconds seconds: Int64) -> Bool {
        let options = [
            "--quiet", "--collect", "--unit=\(unit)", "--on-active=\(seconds)s",
            "--timer-property=AccuracySec=100ms", "--description=Take Portreeve's unconfirmed rules back", "--",
        ]
        return (try? Program.run("systemd-run", options + arguments))?.status == 0
    }

    static func stop(_ unit: String) {
        guard runsHere else { return }
        _ = try? Program.run("systemctl", ["--quiet", "stop", unit])
    }

    /// Properties of a unit; nil where systemd cannot be asked or does not know it.
    static func facts(of unit: String, _ names: [String]) -> [String: String]? {
        guard runsHere,
            let result = try? Program.run(
                "systemctl", ["show", unit, "-p", (names + ["LoadState"]).joined(separator: ",")]),
            result.status == 0
        else { return nil }
        let pairs = result.output.split(separator: "\n").compactMap { line -> (String, String)? in
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            return parts.count == 2 ? (String(parts[0]), String(parts[1])) : nil
        }
        let facts = Dictionary(pairs, uniquingKeysWith: { $1 })
        return facts["LoadState"] == "loaded" ? facts : nil
    }

    /// What `systemctl is-enabled` says of a unit; nil where that cannot be asked.
    static func enablement(of unit: String) -> String? {
        guard runsHere, let result = try? Program.run("systemctl", ["is-enabled", unit]) else { return nil }
        return result.output.split(whereSeparator: \.isNewline).first.map(String.init) ?? "not found"
    }
}

/// Where a symbolic link leads; nil for what is none or cannot be read.
func readLink(_ path: String) -> String? {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = unsafe bytes.withUnsafeMutableBytes { bytes in
        guard let start = unsafe bytes.baseAddress?.assumingMemoryBound(to: CChar.self) else { return 0 }
        return unsafe readlink(path, start, bytes.count)
    }
    return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
}
