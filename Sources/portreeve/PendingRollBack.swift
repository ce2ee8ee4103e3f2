// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import AgentControl
import Glibc
import PacketFilterRules

/// A change of the rules that goes back by itself unless it is confirmed: what to go back to, and when. It lies in a file,
/// so that the process that goes back and the command that confirms find it, whatever became of who made the change.
struct PendingRollBack: Equatable {
    /// Tells this one from the next.
    var token: String
    /// Seconds since the kernel booted (CLOCK_BOOTTIME): setting the calendar neither hastens nor delays it, and a
    /// suspended machine has not been confirmed.
    var deadline: Int64
    var rules: OwnRulesets
    /// Who made the change, and may not confirm it; nil where an earlier release wrote the file.
    var author: CallerSession?

    init(after seconds: Int64, to rules: OwnRulesets, by author: CallerSession) {
        token = "\(getpid())-\(Self.now)"
        deadline = Self.now + seconds
        self.rules = rules
        self.author = author
    }

    static var now: Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_BOOTTIME, &time)
        return Int64(time.tv_sec)
    }
}

extension PendingRollBack {
    /// A line for each of the scalars, then the table for frames, then the rules of each family as `iptables-save` prints
    /// them.
    var text: String {
        var lines = ["token \(token)", "deadline \(deadline)"]
        if let author { lines.append("author \(author.text)") }
        if let bridge = rules.bridge { lines.append(bridge.text) }
        for family in AddressFamily.allCases {
            guard let own = rules.families[family] else { continue }
            lines += ["family \(family.rawValue)"] + own.lines
        }
        return lines.joined(separator: "\n") + "\n"
    }

    init?(_ text: String) {
        var scalars: [Substring: Substring] = [:]
        var sections: [AddressFamily: String] = [:]
        var family: AddressFamily?
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 1)
            if words.first == "family" {
                family = words.last.flatMap { AddressFamily(rawValue: String($0)) }
            } else if let family {
                sections[family, default: ""] += line + "\n"
            } else if words.count == 2 {
                scalars[words[0]] = words[1]
            }
        }
        guard let token = scalars["token"], let deadline = scalars["deadline"].flatMap({ Int64($0) }) else {
            return nil
        }
        self.token = String(token)
        self.deadline = deadline
        author = scalars["author"].flatMap { CallerSession(String($0)) }
        rules = OwnRulesets(bridge: BridgeTable(in: text))
        for family in AddressFamily.allCases where text.contains("family \(family.rawValue)\n") {
            rules.families[family] = OwnRules(
                in: SavedRuleset(sections[family] ?? "", command: family.command, family: family))
        }
    }
}

/// The directory where a pending roll-back lies: not the agent's, which is another user's and goes when the agent ends. Who changes rules or the file holds its lock: a confirmation and a roll-back
/// cannot both believe that they were first.
struct RollBackDirectory {
    static let defaultPath = "/run/portreeve-rules"

    let path: String
    private var pendingPath: String { path + "/pending" }
    private var outcomePath: String { path + "/rolled-back" }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Holds the lock until it is released or the process ends.
    final class Lock {
        private let descriptor: CInt
        fileprivate init(_ descriptor: CInt) { self.descriptor = descriptor }
        func release() { close(descriptor) }
    }

    func lock() throws(Failure) -> Lock {
        unsafe mkdir(String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]), 0o755)
        unsafe mkdir(path, 0o700)
        let descriptor = unsafe open(path + "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Failure(description: "\(path)/lock: \(SystemError.text(errno))") }
        while flock(descriptor, LOCK_EX) != 0 {
            guard errno == EINTR else { throw Failure(description: "\(path)/lock: \(SystemError.text(errno))") }
        }
        return Lock(descriptor)
    }

    var pending: PendingRollBack? { readText(pendingPath).flatMap { PendingRollBack($0) } }

    func set(_ pending: PendingRollBack) throws(Failure) {
        unsafe unlink(outcomePath)
        if let error = replaceFile(pendingPath, with: pending.text) {
            throw Failure(description: "\(pendingPath): \(error)")
        }
    }

    /// The change stays.
    func clear() {
        unsafe unlink(pendingPath)
        Systemd.stop(RollBackCommand.unit + ".timer")
    }

    /// When the last change went back, or why it could not; nil where it was confirmed.
    var outcome: String? { readText(outcomePath)?.split(separator: "\n").first.map(String.init) }

    /// The change has gone back, or could not.
    func finish(_ outcome: String) {
        _ = replaceFile(outcomePath, with: outcome + "\n")
        unsafe unlink(pendingPath)
    }
}
