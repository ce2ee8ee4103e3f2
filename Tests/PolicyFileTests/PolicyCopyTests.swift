// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import Glibc
import PacketWire
import Testing

@testable import PolicyFile

@Suite("A copy of a policy")
struct PolicyCopyTests {
    private static let policy = """
        version: 1
        lists: { bad: { addresses-file: LIST }, worse: { addresses-file: LIST } }
        rules: [{ name: Listed, action: deny, direction: incoming, source: { addresses: bad } }]

        """

    /// A folder with a policy, a list and a drop-in, and its copy.
    private func copied(_ folder: borrowing Folder) throws -> PolicyCopy {
        try folder.write("192.0.2.1\n192.0.2.5-192.0.2.9 # some\n", to: "list.txt")
        try folder.write(Self.policy.replacing("LIST", with: "\(folder.path)/list.txt"), to: "policy.yaml")
        try folder.write("version: 1\nevents: { fold: 3ms }\n", to: "policy.d/10.yaml")
        try copy(folder)
        return try PolicyCopy(path: "\(folder.path)/kept")
    }

    private func copy(_ folder: borrowing Folder) throws {
        let path = "\(folder.path)/policy.yaml"
        let writer = try PolicyCopyWriter(in: folder.path, of: path)
        _ = try PolicyFile.read(path, copyingTo: writer).get()
        try writer.finish(as: "kept", epoch: 7, since: 1_764_064_800)
    }

    @Test("is the policy, whatever becomes of its files")
    func whole() throws {
        let folder = try Folder()
        let copy = try copied(folder)
        let document = try PolicyFile.load("\(folder.path)/policy.yaml")
        for name in ["policy.yaml", "policy.d/10.yaml", "list.txt"] { try folder.write("nonsense", to: name) }
        let again = try copy.read().get()
        #expect(
            again.rules == document.rules && again.addressLists.map(\.values) == document.addressLists.map(\.values))
        #expect(again.events.fold == .milliseconds(3))
        #expect(copy.policyPath == "\(folder.path)/policy.yaml")
        #expect(copy.epoch == 7 && copy.since == 1_764_064_800)
    }

    @Test("has the services by which it names ports, and only then")
    func services() throws {
        let folder = try Folder()
        for (port, isNamed) in [("https", true), ("443", false)] {
            let rule = "{ name: A, action: allow, direction: incoming, protocol: tcp, destination: { ports: \(port) } }"
            try folder.write("version: 1\nrules: [\(rule)]\n", to: "policy.yaml")
            try copy(folder)
            let text = String(decoding: try readFile("\(folder.path)/kept", atMost: 1 << 20), as: UTF8.self)
            #expect(text.contains("\nlist ") == isNamed)
            let again = try PolicyCopy(path: "\(folder.path)/kept").read().get()
            #expect(again.portLists.map(\.values) == [[PortRange(first: 443, last: 443)]])
        }
        // Another host calls another port so, and the copy does not.
        let kept = String(decoding: try readFile("\(folder.path)/kept", atMost: 1 << 20), as: UTF8.self)
        #expect(!kept.contains("/etc/services"))
    }

    @Test("is known by its texts: each of them counts, and nothing else does")
    func comparison() throws {
        let folder = try Folder()
        let copy = try copied(folder)
        let path = "\(folder.path)/policy.yaml"
        func isSame() throws -> Bool {
            let writer = try PolicyCopyWriter(in: folder.path, of: path)
            _ = PolicyFile.read(path, copyingTo: writer)
            return writer.hasText(of: copy)
        }
        #expect(try isSame())
        try folder.write("192.0.2.1\n192.0.2.5-192.0.2.9 # same\n", to: "list.txt")
        #expect(try !isSame())
        try folder.write("192.0.2.1\n192.0.2.5-192.0.2.9 # some\n", to: "list.txt")
        #expect(try isSame())
        try folder.write("version: 1\n", to: "policy.d/11.yaml")
        #expect(try !isSame())
    }

    @Test("tells whether a list's file still says what it said, to the last byte of a long one")
    func lists() throws {
        let folder = try Folder()
        let copy = try copied(folder)
        let list = "\(folder.path)/list.txt"
        let text = try #require(String(validating: try readFile(list, atMost: 1 << 20), as: UTF8.self))
        #expect(copy.hasList(list))
        for other in ["", String(text.dropLast()), text + "#", "1" + text.dropFirst().dropLast() + " "] {
            try folder.write(other, to: "list.txt")
            #expect(!copy.hasList(list))
        }
        try folder.write(text, to: "list.txt")
        #expect(copy.hasList(list))
        // It is no part of it under another name, nor what is no file.
        #expect(!copy.hasList("\(folder.path)/policy.yaml"))
        #expect(unsafe unlink(list) == 0 && !copy.hasList(list))
        #expect(unsafe mkfifo(list, 0o600) == 0 && !copy.hasList(list))
        unsafe unlink(list)

        // Some pieces long, and not of the length of whole ones.
        let long = String(repeating: "198.51.100.77\n", count: 60_000)
        try folder.write(long, to: "list.txt")
        try self.copy(folder)
        let second = try PolicyCopy(path: "\(folder.path)/kept")
        #expect(second.hasList(list))
        try folder.write(long.dropLast(2) + "8\n", to: "list.txt")
        #expect(!second.hasList(list))
    }

    @Test("leaves nothing behind where it is not finished")
    func unfinished() throws {
        let folder = try Folder()
        do { _ = try PolicyCopyWriter(in: folder.path, of: "p") }
        #expect(try namesInDirectory(folder.path) == [])
    }

    @Test("is not believed where it is cut, is none, or others may have written it")
    func doubtful() throws {
        let folder = try Folder()
        _ = try copied(folder)
        let path = "\(folder.path)/kept"
        let bytes = try readFile(path, atMost: 1 << 20)
        for length in 0..<bytes.count {
            unsafe truncate(path, off_t(length))
            #expect(throws: FileFault.self) { try PolicyCopy(path: path) }
            try Fixtures.write(String(decoding: bytes, as: UTF8.self), to: path)
        }
        unsafe chmod(path, 0o666)
        #expect(throws: FileFault.self) { try PolicyCopy(path: path) }
        unsafe chmod(path, 0o600)
        #expect(throws: FileFault.self) { try PolicyCopy(path: path, owner: geteuid() + 1) }
        unsafe symlink(path, "\(folder.path)/link")
        #expect(throws: FileFault.self) { try PolicyCopy(path: "\(folder.path)/link") }
        #expect(throws: FileFault.self) { try PolicyCopy(path: folder.path) }
        _ = try PolicyCopy(path: path, owner: geteuid())
    }

    @Test("Damage anywhere in it is an error of the policy, or none at all")
    func damaged() throws {
        let folder = try Folder()
        _ = try copied(folder)
        let path = "\(folder.path)/kept"
        let bytes = try readFile(path, atMost: 1 << 20)
        for index in bytes.indices {
            var damaged = bytes
            damaged[index] ^= 0x41
            try Fixtures.write(bytes: damaged, to: path)
            unsafe chmod(path, 0o600)
            _ = try? PolicyCopy(path: path).read()
        }
    }
}
