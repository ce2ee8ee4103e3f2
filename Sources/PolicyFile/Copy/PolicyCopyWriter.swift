// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import Synchronization

/// Writes down all the text that a policy is read from, while it is read, so that the policy can be had again whatever
/// becomes of its files.
///
/// A copy is one file: sections of text, each after a line that says what it is, how many bytes it has and its name; then
/// when the policy came into force. Long lists go to the disk as they are read; nothing of them stays in memory.
///
///     portreeve-policy-copy 1
///     of /etc/portreeve/policy.yaml
///     list 31 /etc/portreeve/lists/badhosts.txt
///     …
///     file 412 /etc/portreeve/policy.yaml
///     …
///     end
///     epoch 7
///     since 1764064800
///
/// It becomes visible under its name by `finish`; without that nothing stays.
package final class PolicyCopyWriter: Sendable {
    private struct Progress {
        var names: Set<String> = []
        /// The first thing that went wrong; what is written after it is lost.
        var fault: FileFault?
    }

    private let temporary: String
    private let descriptor: Int32
    private let progress = Mutex(Progress())
    private let isFinished = Atomic(false)

    /// - Parameters:
    ///   - directory: where the copy will lie.
    ///   - policyPath: the file by which the policy is known.
    /// - Throws: why nothing can be written there.
    package init(in directory: String, of policyPath: String) throws(FileFault) {
        temporary = "\(directory)/policy.new"
        _ = unsafe unlink(temporary)
        let flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW
        descriptor = unsafe open(temporary, flags, 0o640)
        guard descriptor >= 0 else { throw FileFault(errno: errno) }
        write(Array("\(PolicyCopy.title)\nof \(policyPath)\n".utf8))
        if policyPath.contains("\n") { progress.withLock { $0.fault = .unfitName } }
    }

    deinit {
        close(descriptor)
        if !isFinished.load(ordering: .relaxed) { _ = unsafe unlink(temporary) }
    }

    /// Adds the text of a file; one that is there already is not added again.
    func add(_ kind: PolicyCopy.Kind, _ name: String, _ bytes: [UInt8]) {
        let isNew = progress.withLock { progress in
            if name.contains("\n") { progress.fault = progress.fault ?? .unfitName }
            return progress.names.insert("\(kind.rawValue) \(name)").inserted
        }
        guard isNew else { return }
        write(Array("\(kind.rawValue) \(bytes.count) \(name)\n".utf8))
        write(bytes)
        write([UInt8(ascii: "\n")])
    }

    /// Everything is there: whether it is the text of an earlier copy.
    package func hasText(of copy: PolicyCopy) -> Bool { copy.hasText(of: descriptor) }

    /// Puts the copy in its place, on the disk before this returns.
    ///
    /// - Parameters:
    ///   - name: the copy's file name in the directory.
    ///   - epoch: of the policy.
    ///   - since: when it came into force, in seconds since 1970.
    /// - Throws: the first thing that could not be written.
    package func finish(as name: String, epoch: UInt32, since: Int64) throws(FileFault) {
        write(Array("end\nepoch \(epoch)\nsince \(since)\n".utf8))
        if let fault = progress.withLock({ $0.fault }) { throw fault }
        let directory = String(temporary[..<(temporary.lastIndex(of: "/") ?? temporary.startIndex)])
        guard fsync(descriptor) == 0, unsafe rename(temporary, "\(directory)/\(name)") == 0 else {
            throw FileFault(errno: errno)
        }
        isFinished.store(true, ordering: .relaxed)
        try syncDirectory(directory)
    }

    private func write(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let code = errno
                return progress.withLock { $0.fault = $0.fault ?? FileFault(errno: code) }
            }
            rest = rest.dropFirst(count)
        }
    }
}

extension FileFault {
    fileprivate static let unfitName = FileFault("a policy with a line break in a file's name cannot be kept")
}

/// Has a directory's names on the disk before it returns.
func syncDirectory(_ path: String) throws(FileFault) {
    let descriptor = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileFault(errno: errno) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw FileFault(errno: errno) }
}
