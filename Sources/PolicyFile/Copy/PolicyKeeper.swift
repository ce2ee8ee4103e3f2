// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// Keeps the last policy that was in force, whole, so that a start has a policy whatever is on the disk.
///
/// Two copies may lie in its directory. `policy.kept` is the last policy that was in force for good. `policy.unconfirmed` is
/// one that a reload put in force for a while only: as long as the files on the disk say the same, no start takes them.
package struct PolicyKeeper: Sendable {
    package let directory: String
    /// The file by which the agent knows its policy.
    package let policyPath: String

    package init(directory: String, policyPath: String) {
        self.directory = directory
        self.policyPath = policyPath
    }

    private static let keptName = "policy.kept"
    private static let unconfirmedName = "policy.unconfirmed"

    package var keptPath: String { "\(directory)/\(Self.keptName)" }

    /// Takes in what is read next; the caller puts it in its place by `keep` or `keepUnconfirmed`, or drops it. A copy that
    /// is only compared is made in a scratch directory.
    package func begin(in scratch: String? = nil) throws(FileFault) -> PolicyCopyWriter {
        try PolicyCopyWriter(in: scratch ?? directory, of: policyPath)
    }

    /// The last policy that was in force; nil where there is none of this policy file.
    package var kept: PolicyCopy? { copy(Self.keptName) }

    package var unconfirmed: PolicyCopy? { copy(Self.unconfirmedName) }

    private func copy(_ name: String) -> PolicyCopy? {
        // Root may look at what the agent, another user, has kept.
        let owner = geteuid() == 0 ? nil : geteuid()
        guard let copy = try? PolicyCopy(path: "\(directory)/\(name)", owner: owner),
            copy.policyPath == policyPath
        else { return nil }
        return copy
    }

    /// This policy is in force for good. Where only its lists are others than before, nobody has confirmed what is on the disk.
    package func keep(
        _ copy: PolicyCopyWriter, epoch: UInt32, since: Int64, withOtherListsOnly: Bool = false
    ) throws(FileFault) {
        try copy.finish(as: Self.keptName, epoch: epoch, since: since)
        if !withOtherListsOnly { _ = unsafe unlink("\(directory)/\(Self.unconfirmedName)") }
    }

    /// This policy is in force until it is confirmed or taken back.
    package func keepUnconfirmed(_ copy: PolicyCopyWriter, epoch: UInt32, since: Int64) throws(FileFault) {
        try copy.finish(as: Self.unconfirmedName, epoch: epoch, since: since)
    }

    /// The unconfirmed policy has been confirmed.
    package func confirm() throws(FileFault) {
        guard unsafe rename("\(directory)/\(Self.unconfirmedName)", keptPath) == 0 else {
            throw FileFault(errno: errno)
        }
    }
}
