// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

@testable import PolicyFile

/// The golden policies of `Tests/Fixtures/policies`: `NNN-name.yaml`, or a directory `NNN-name` with `policy.yaml` and
/// `policy.d`, beside the expected text in `NNN-name.ok` or `NNN-name.err`.
enum Fixtures {
    static let repository = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
    static let root = repository + "/Tests/Fixtures/policies"

    /// Names of the policies in a folder, without extension.
    static func names(in folder: String) -> [String] {
        let names = (try? namesInDirectory("\(root)/\(folder)")) ?? []
        return names.compactMap { name in
            guard name.first?.isNumber == true, !name.hasSuffix(".ok"), !name.hasSuffix(".err") else { return nil }
            return name.hasSuffix(".yaml") ? String(name.dropLast(5)) : name
        }
    }

    /// The files of one policy, named relative to its folder.
    static func sources(_ name: String, in folder: String) throws -> [(name: String, text: [UInt8])] {
        let base = "\(root)/\(folder)"
        guard let dropIns = try namesInDirectory("\(base)/\(name)/policy.d") else {
            return [("\(name).yaml", try readFile("\(base)/\(name).yaml", atMost: 1 << 20))]
        }
        return try (["policy.yaml"] + dropIns.map { "policy.d/\($0)" }).map {
            ("\(name)/\($0)", try readFile("\(base)/\(name)/\($0)", atMost: 1 << 20))
        }
    }

    private static let services = "ssh 22/tcp\ndomain 53/udp\nhttp 80/tcp\nhttps 443/tcp\n9pfs 564/tcp\n"

    private static let users = """
        root:x:0:0:root:/root:/bin/bash
        # backup:x:34:34::/:
        www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
        www-data:x:99:99:the second one does not count:/:
        +nis
        broken:x:many:0::/:

        """
    private static let groups = "root:x:0:\nadm:x:4:syslog,alice\nwww-data:x:33:\n"

    /// List files of the folder, a few services, and a few time zones whatever the host has.
    static func surroundings(of folder: String) -> Surroundings {
        Surroundings(
            read: { path throws(FileFault) in
                if path == Surroundings.services { return Array(services.utf8) }
                if path == HostAccounts.users { return Array(users.utf8) }
                if path == HostAccounts.groups { return Array(groups.utf8) }
                return try readFile("\(root)/\(folder)/\(path)", atMost: 1 << 20)
            },
            knowsTimeZone: { ["Europe/Berlin", "America/New_York"].contains($0) })
    }

    /// A policy whose first line is `# replay` is read for replay.
    static func outcome(_ name: String, in folder: String) throws -> PolicyFile.Outcome {
        let sources = try sources(name, in: folder)
        let isReplay = sources[0].text.starts(with: "# replay\n".utf8)
        return PolicyFile.parse(sources, for: isReplay ? .replay : .queue, in: surroundings(of: folder))
    }

    /// The expected text; written anew when PORTREEVE_REGENERATE is set.
    static func expected(_ file: String, actual: String) throws -> String {
        if unsafe getenv("PORTREEVE_REGENERATE") != nil { try write(actual, to: "\(root)/\(file)") }
        return String(decoding: try readFile("\(root)/\(file)", atMost: 1 << 20), as: UTF8.self)
    }

    static func write(_ text: String, to path: String) throws { try write(bytes: Array(text.utf8), to: path) }

    static func write(bytes: [UInt8], to path: String) throws {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        guard descriptor >= 0 else { throw FileFault("not writable") }
        defer { close(descriptor) }
        let written = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
        guard written == bytes.count else { throw FileFault("written in part") }
    }
}

extension PolicyFile.Outcome {
    /// Every diagnostic as the user sees it.
    var rendered: String { diagnostics.map { $0.rendered() + "\n" }.joined() }
}

/// The outcome of one text.
func parse(_ text: String, for use: PolicyUse = .queue) -> PolicyFile.Outcome {
    PolicyFile.parse(
        [("policy.yaml", Array(text.utf8))], for: use,
        in: Surroundings(
            read: { _ throws(FileFault) in throw FileFault("No such file or directory") }, knowsTimeZone: { _ in false }
        ))
}
