// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import Glibc
import PolicyFile

/// Where a policy is to be read from: a file, a folder, or a revision of a git repository.
struct PolicySource {
    private let text: String

    init(_ text: String) { self.text = text }

    /// The policy, or the end of the program with what is wrong.
    func policy() throws -> Policy {
        do {
            return try Policy(try document(), epoch: 1)
        } catch let error as PolicyError {
            throw fail("\(text.harmless): \(error)")
        }
    }

    private func document() throws -> PolicyDocument {
        if isDirectory(text) { return try load(text.hasSuffix("/") ? text + "policy.yaml" : text + "/policy.yaml") }
        if unsafe access(text, F_OK) != 0, let colon = text.firstIndex(of: ":") {
            return try revision(String(text[..<colon]), String(text[text.index(after: colon)...]))
        }
        return try load(text)
    }

    private func load(_ path: String) throws -> PolicyDocument {
        do {
            return try PolicyFile.loading(path)
        } catch {
            throw fail("\(error)")
        }
    }

    /// The file as it was then, the drop-in files beside it, and the lists that these name by relative paths. Those of other folders are of
    /// today.
    private func revision(_ name: String, _ path: String) throws -> PolicyDocument {
        var sources = [(name: text, text: Array(try git("show", "--end-of-options", "\(name):\(path)").utf8))]
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
        let listed = try git(
            "ls-tree", "--name-only", "-z", "--full-tree", "--end-of-options", name, "\(folder)policy.d/")
        let dropIns = listed.split(separator: "\0").map(String.init)
            .filter { $0.hasSuffix(".yaml") && !($0.split(separator: "/").last?.hasPrefix(".") ?? true) }
            .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        for file in dropIns {
            sources.append(("\(name):\(file)", Array(try git("show", "--end-of-options", "\(name):\(file)").utf8)))
        }
        var surroundings = Surroundings.host
        let today = surroundings.read
        surroundings.read = { list throws(FileFault) in
            if list.hasPrefix("/") { return try today(list) }
            // A relative path begins at the file that names it, or at the top.
            let place = list.hasPrefix("\(name):") ? list : "\(name):\(list)"
            guard let text = try? Program.run("git", ["show", "--end-of-options", place]), text.status == 0 else {
                throw FileFault("the revision has no such file")
            }
            return Array(text.output.utf8)
        }
        do {
            return try PolicyFile.parse(sources, in: surroundings).get()
        } catch {
            throw fail("\(error)")
        }
    }

    private func git(_ arguments: String...) throws -> String {
        do {
            let result = try Program.run("git", arguments)
            guard result.status == 0 else { throw fail("git: \(result.complaint.harmless)") }
            return result.output
        } catch let error as Program.Failure {
            throw fail("\(error)")
        }
    }

    private func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return unsafe stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
}
