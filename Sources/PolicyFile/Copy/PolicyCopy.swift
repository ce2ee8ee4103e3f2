// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// A policy that was written down whole (`PolicyCopyWriter`).
///
/// What it says is read as a policy file is, with everything that is checked there; it is believed to be the policy that was
/// in force only if nobody else can have written it.
package struct PolicyCopy: Sendable {
    enum Kind: String, Sendable { case file, list }

    struct Section: Sendable {
        let kind: Kind
        let name: String
        let offset: Int
        let count: Int
    }

    static let title = "portreeve-policy-copy 1"

    /// Where the copy lies.
    package let path: String
    /// The file by which its policy was known.
    package let policyPath: String
    package let epoch: UInt32
    /// When the policy came into force, in seconds since 1970.
    package let since: Int64
    private let sections: [Section]
    /// Bytes before the lines that say epoch and time.
    private let textLength: Int

    /// Finds out what is in a copy, without its texts. `owner` is the only user who may have written it; nil for whoever
    /// owns it.
    package init(path: String, owner: UInt32? = nil) throws(FileFault) {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { throw FileFault(errno: errno) }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { throw FileFault(errno: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw FileFault("not a regular file") }
        guard owner == nil || status.st_uid == owner else { throw FileFault("it belongs to user \(status.st_uid)") }
        guard status.st_mode & 0o022 == 0 else { throw FileFault("others than its owner may write it") }
        var reader = LineReader(descriptor: descriptor)
        guard reader.next() == PolicyCopy.title, let of = reader.next(after: "of") else { throw .notACopy }
        policyPath = of
        var sections: [Section] = []
        while let line = reader.next(), line != "end" {
            guard let section = Section(line, at: reader.offset), section.count < Int(status.st_size) else {
                throw .notACopy
            }
            sections.append(section)
            reader.skip(section.count + 1)
        }
        self.path = path
        self.sections = sections
        textLength = reader.offset
        guard let epoch = reader.next(after: "epoch").flatMap({ UInt32($0) }),
            let since = reader.next(after: "since").flatMap({ Int64($0) }), reader.offset == Int(status.st_size)
        else { throw FileFault("it is cut short") }
        self.epoch = epoch
        self.since = since
    }

    /// Reads the policy again, from its own text alone, and additions after it. Diagnostics name the files that it was copied from.
    package func read(
        for use: PolicyUse = .queue, adding additions: [(name: String, text: [UInt8])] = []
    ) -> PolicyFile.Outcome {
        read(texts + additions, for: use)
    }

    /// Reads other texts in the place of its own, with the lists that it has.
    package func read(
        _ texts: [(name: String, text: [UInt8])], for use: PolicyUse = .queue
    ) -> PolicyFile.Outcome {
        var surroundings = Surroundings.host
        surroundings.read = { [self] name throws(FileFault) in
            guard let section = sections.first(where: { $0.kind == .list && $0.name == name }) else {
                throw FileFault("not in \(path)")
            }
            return try text(of: section)
        }
        return PolicyFile.parse(texts, for: use, in: surroundings)
    }

    /// Reads the policy again from its own text, with its lists as their files are now. `copy` takes what is read.
    package func readWithPresentLists(copyingTo copy: PolicyCopyWriter?) -> PolicyFile.Outcome {
        let texts = texts
        guard texts.count == sections.count(where: { $0.kind == .file }) else {
            return PolicyFile.Outcome(
                document: nil,
                diagnostics: [
                    .wholeFile(path, found: "a copy that is cut short", expected: "the policy that is in force")
                ])
        }
        let outcome = PolicyFile.parse(texts, for: .queue, in: .host(copyingTo: copy))
        for text in texts { copy?.add(.file, text.name, text.text) }
        return outcome
    }

    /// Of the policy's files, in their order.
    package var texts: [(name: String, text: [UInt8])] {
        sections.filter { $0.kind == .file }.compactMap { section in
            (try? text(of: section)).map { (section.name, $0) }
        }
    }

    private func text(of section: Section) throws(FileFault) -> [UInt8] {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { throw FileFault(errno: errno) }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: section.count)
        let count = unsafe pread(descriptor, &bytes, section.count, off_t(section.offset))
        guard count == section.count else { throw FileFault("\(path) is cut short") }
        return bytes
    }

    /// Whether these are all of the policy's own files, and on the disk as they are here, whatever has become of its lists.
    package func hasFiles(_ names: [String]) -> Bool {
        let texts = texts
        return texts.map(\.name) == names
            && texts.allSatisfy { (try? readFile($0.name, atMost: PolicyFile.maximumSize)) == $0.text }
    }

    /// Whether the file of a list is on the disk as it is here. However long it is, little memory is needed to see it.
    package func hasList(_ name: String) -> Bool {
        guard let section = sections.first(where: { $0.kind == .list && $0.name == name }),
            let (file, size) = try? openFile(name)
        else { return false }
        defer { close(file) }
        return size == section.count && hasText(of: file, length: size, from: section.offset)
    }

    /// Whether the other copy has the same texts.
    package func hasText(of other: PolicyCopy) -> Bool {
        let descriptor = unsafe open(other.path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return textLength == other.textLength && hasText(of: descriptor, length: textLength)
    }

    /// Whether a copy that is being written, and complete but for its end, has the same texts.
    func hasText(of descriptor: Int32) -> Bool {
        var status = stat()
        let length = textLength - "end\n".utf8.count
        guard unsafe fstat(descriptor, &status) == 0, Int(status.st_size) == length else { return false }
        return hasText(of: descriptor, length: length)
    }

    /// `length` bytes of this copy from `start` on, and the first of the other.
    private func hasText(of descriptor: Int32, length: Int, from start: Int = 0) -> Bool {
        let own = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard own >= 0 else { return false }
        defer { close(own) }
        let size = 256 << 10
        var (mine, theirs) = ([UInt8](repeating: 0, count: size), [UInt8](repeating: 0, count: size))
        var offset = 0
        while offset < length {
            let count = min(size, length - offset)
            guard unsafe pread(own, &mine, count, off_t(start + offset)) == count,
                unsafe pread(descriptor, &theirs, count, off_t(offset)) == count, mine == theirs
            else { return false }
            offset += count
        }
        return true
    }
}

extension PolicyCopy.Section {
    /// "list 31 /etc/portreeve/lists/badhosts.txt", the text beginning at `offset`.
    fileprivate init?(_ line: String, at offset: Int) {
        let words = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard words.count == 3, let kind = PolicyCopy.Kind(rawValue: String(words[0])), let count = Int(words[1]),
            count >= 0
        else { return nil }
        self.init(kind: kind, name: String(words[2]), offset: offset, count: count)
    }
}

extension FileFault {
    fileprivate static let notACopy = FileFault("it is no copy of a policy")
}

/// Lines of a file, with jumps over what is between them.
private struct LineReader {
    private let descriptor: Int32
    private(set) var offset = 0

    /// No line of a copy is longer than a path can be, and a few words.
    private static let longest = 8192

    init(descriptor: Int32) { self.descriptor = descriptor }

    /// Without its line feed; nil at the end, and for one that is too long or no text.
    mutating func next() -> String? {
        var bytes = [UInt8](repeating: 0, count: Self.longest)
        let count = unsafe pread(descriptor, &bytes, Self.longest, off_t(offset))
        guard count > 0, let end = bytes[..<count].firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        offset += end + 1
        return String(validating: bytes[..<end], as: UTF8.self)
    }

    /// What follows this word in the next line.
    mutating func next(after word: String) -> String? {
        guard let line = next(), line.hasPrefix(word + " ") else { return nil }
        return String(line.dropFirst(word.count + 1))
    }

    mutating func skip(_ count: Int) { offset += count }
}
