// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import Glibc
import PacketWire
import Testing

@testable import PolicyFile

/// A directory of its own, removed at the end.
struct Folder: ~Copyable {
    let path: String

    init() throws {
        var template = Array("/tmp/portreeve-policy-XXXXXX".utf8CString)
        let made = unsafe template.withUnsafeMutableBufferPointer { buffer in
            unsafe buffer.baseAddress.flatMap { unsafe mkdtemp($0) } != nil
        }
        guard made else { throw FileFault("no directory") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    func write(_ text: String, to name: String) throws {
        for (index, character) in zip(name.indices, name) where character == "/" {
            unsafe mkdir("\(path)/\(name[..<index])", 0o755)
        }
        try Fixtures.write(text, to: "\(path)/\(name)")
    }

    private func remove(_ path: String) {
        for name in (try? namesInDirectory(path)) ?? [] { remove("\(path)/\(name)") }
        unsafe Glibc.remove(path)
    }

    deinit { remove(path) }
}

@Suite("Loading policy files")
struct LoadTests {
    @Test("The drop-in files follow the main file in byte order of their names")
    func dropIns() throws {
        let folder = try Folder()
        try folder.write("version: 1\nevents: { fold: 1ms }\n", to: "main.yaml")
        try folder.write("version: 1\nevents: { fold: 2ms }\n", to: "policy.d/b.yaml")
        try folder.write("version: 1\nevents: { fold: 3ms }\n", to: "policy.d/B.yaml")
        try folder.write("version: 1\nevents: { fold: 4ms }\n", to: "policy.d/10.yaml")
        try folder.write("version: 1\nevents: { fold: 5ms }\n", to: "policy.d/9.yaml")
        let document = try PolicyFile.load("\(folder.path)/main.yaml")
        #expect(document.events.fold == .milliseconds(2))
        let names = document.files.map { $0.dropFirst(folder.path.count + 1) }
        #expect(names == ["main.yaml", "policy.d/10.yaml", "policy.d/9.yaml", "policy.d/B.yaml", "policy.d/b.yaml"])
    }

    @Test("Only *.yaml is read of the drop-in directory; *.yml is worth a warning")
    func otherNames() throws {
        let folder = try Folder()
        try folder.write("version: 1\n", to: "policy.yaml")
        for name in [".hidden.yaml", "x.yaml.dpkg-old", "README", "x.yml"] {
            try folder.write("nonsense", to: "policy.d/\(name)")
        }
        let outcome = PolicyFile.read("\(folder.path)/policy.yaml")
        #expect(outcome.document != nil)
        #expect(
            outcome.rendered == """
                \(folder.path)/policy.d/x.yml: warning: found a file that is not read, expected a name that ends in .yaml

                """)
    }

    @Test("A relative addresses-file is looked for beside the file that names it")
    func listFiles() throws {
        let folder = try Folder()
        try folder.write("version: 1\nlists: { a: { addresses-file: a.txt } }\n", to: "policy.yaml")
        try folder.write("version: 1\nlists: { b: { addresses-file: a.txt } }\n", to: "policy.d/x.yaml")
        try folder.write("192.0.2.1\n", to: "a.txt")
        try folder.write("192.0.2.2", to: "policy.d/a.txt")
        let lists = try PolicyFile.load("\(folder.path)/policy.yaml").addressLists
        #expect(lists.map(\.file) == ["\(folder.path)/a.txt", "\(folder.path)/policy.d/a.txt"])
        #expect(lists.map(\.values.texts) == [["192.0.2.1"], ["192.0.2.2"]])
    }

    @Test("What cannot be read is said of each file, beside the errors of the others")
    func unreadable() throws {
        let folder = try Folder()
        try folder.write(
            "version: 1\nmode: x\nrules: [{ name: a, action: deny, direction: incoming, schedule: s }]\n", to: "p.yaml")
        try folder.write("", to: "policy.d/directory.yaml/x")
        try folder.write(String(repeating: "#", count: PolicyFile.maximumSize + 1), to: "policy.d/huge.yaml")
        unsafe mkfifo("\(folder.path)/policy.d/pipe.yaml", 0o644)
        let outcome = PolicyFile.read("\(folder.path)/p.yaml")
        #expect(outcome.document == nil)
        let text = outcome.rendered.replacing(folder.path, with: "")
        #expect(
            text == """
                /policy.d/directory.yaml: error: found Is a directory, expected a readable policy file
                /policy.d/huge.yaml: error: found longer than 16 MiB, expected a readable policy file
                /policy.d/pipe.yaml: error: found not a regular file, expected a readable policy file
                /p.yaml:2:7: error: found "x", expected inline or tap
                    mode: x
                          ^

                """)
    }

    @Test("A missing main file is an error that names it")
    func missing() {
        #expect(throws: PolicyFileError.self) { try PolicyFile.load("/nonexistent/policy.yaml") }
        #expect(
            PolicyFile.read("/nonexistent/policy.yaml").rendered
                == "/nonexistent/policy.yaml: error: found No such file or directory, expected a readable policy file\n"
        )
    }

    @Test("A time zone is one that the host knows")
    func timeZones() {
        #expect(!Surroundings.host.knowsTimeZone("Nowhere/Land"))
        #expect(!Surroundings.host.knowsTimeZone("../../../etc/passwd"))
        #expect(!Surroundings.host.knowsTimeZone("tzdata.zi"))
    }
}
