// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy
import Logging
import PacketWire
import PolicyFile

/// The files of `addresses-file`: as they were when they were last tried, and as they were seen last.
struct ListWatch {
    fileprivate struct Sight {
        var stamp: FileStamp?
        /// Since when it is so, and since when it has not been what was tried.
        var since, untriedSince: Instant
    }

    /// The policy whose lists they are; nil before the first.
    fileprivate var epoch: UInt32?
    /// By path. What is in force, or has been refused, was read from files that were so.
    fileprivate var tried: [String: FileStamp] = [:]
    fileprivate var seen: [String: Sight] = [:]
    /// Why a newer version of a list is not in force; `status` repeats it.
    fileprivate(set) var complaint: String?
}

extension Housekeeper {
    /// A file is left alone until it has not changed for so long: it may be written in place.
    private static let restsFor = Instant.Span.seconds(1)
    /// One that never rests is tried all the same after so long.
    private static let patience = Instant.Span.seconds(60)
    /// A file that was changed so shortly before its policy came into force may have changed after it was read.
    private static let doubtfulFor = 10

    /// Puts the lists of files that have changed in force, with nothing else that has changed on the disk. Faulty ones change nothing.
    ///
    /// The files are looked at by another thread, and not read during a trial: where a file's server is what the policy has cut off,
    /// an answer may never come, and somebody has to be left to take the policy back.
    func refreshLists(_ policy: Policy) {
        let files = Set(policy.document.addressLists.compactMap(\.file))
        let latest = listFiles.stamps(of: files)
        guard !files.isEmpty else { return lists = ListWatch() }
        guard pending == nil, let stamps = latest else { return }
        let now = Clocks.monotonic()
        if lists.epoch != policy.epoch {
            // One that was kept, or comes back after a trial, may be far older than its files.
            let doubtful = Int(policies.description.loadedAt) - Self.doubtfulFor
            lists = ListWatch()
            lists.epoch = policy.epoch
            lists.tried = stamps.filter { ($0.value.changed.first ?? 0) < doubtful }
        }
        let changed = files.filter { isReady($0, stamps[$0], at: now) }.sorted()
        guard !changed.isEmpty else { return }
        for file in changed { lists.tried[file] = stamps[file] }
        lists.complaint = swap(changed, policy)
        // It is the policy with these lists that is in force now, and its epoch is another.
        lists.epoch = policies.current.epoch
    }

    /// Whether a file has changed since it was tried, and rests: each by itself, so that one that never does holds up no other.
    private func isReady(_ file: String, _ stamp: FileStamp?, at now: Instant) -> Bool {
        guard stamp != lists.tried[file] else {
            lists.seen[file] = ListWatch.Sight(stamp: stamp, since: now, untriedSince: now)
            return false
        }
        var sight = lists.seen[file] ?? ListWatch.Sight(stamp: stamp, since: now, untriedSince: now)
        if sight.stamp != stamp { (sight.stamp, sight.since) = (stamp, now) }
        let isReady = now - sight.since >= Self.restsFor || now - sight.untriedSince >= Self.patience
        if isReady { sight.untriedSince = now }
        lists.seen[file] = sight
        return isReady
    }

    /// Why they are not in force; nil where they are.
    private func swap(_ files: [String], _ policy: Policy) -> String? {
        let names = files.joined(separator: ", ")
        guard let kept = keeper.kept, kept.epoch == policy.epoch else {
            return told(
                "\(names) changed, and the list of before stays in force: the policy that is in force was not kept, so that it cannot be "
                    + "read again without what else may have changed; run \"portreeve reload\"", because: "")
        }
        let present = policy.document.addressLists.compactMap(\.file)
        // A file that was fetched again, or looks younger than what was read of it, often says what it said.
        guard !present.allSatisfy(kept.hasList) else { return nil }
        if let trial = keeper.unconfirmed, let list = present.first(where: { trial.hasList($0) && !kept.hasList($0) }) {
            return told(
                "\(list) is as in the policy on trial that was not confirmed, and the lists of before stay in force; \"portreeve reload\" "
                    + "puts them in force with the policy on disk", because: "")
        }
        do {
            try reloadLists(of: kept, ReloadOrder(forLists: files))
            return nil
        } catch {
            return told(
                "\(names) changed, and the list of before stays in force: "
                    + (error.description.split(separator: "\n").first.map(String.init) ?? "no reason is known"),
                because: error.description)
        }
    }

    private func told(_ complaint: String, because why: String) -> String {
        logger.error("\(why.isEmpty ? complaint : complaint + "\n" + why)")
        return complaint
    }
}
