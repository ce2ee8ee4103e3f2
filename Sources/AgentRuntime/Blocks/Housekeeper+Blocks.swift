// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import AgentControl
import EventLog
import FirewallEngine
import FirewallPolicy
import Locking
import Logging
import PacketWire
import Synchronization

/// Sources that are blocked: who may be, for how long, and that every worker knows. Workers have a table that is made anew
/// whenever something changes; nothing that they do waits for it.
extension Housekeeper {
    private var blocksPath: String { options.policyDirectory + "/blocks" }

    /// Before the first packet: what the run before had blocked, as far as its time is not over.
    func restoreBlocks() {
        guard let text = SmallFile.read(blocksPath) else { return }
        guard var book = BlockBook(text) else {
            return logger.warning("blocked sources of the run before are forgotten: \(blocksPath) is damaged")
        }
        _ = book.expire(at: Clocks.calendarSeconds())
        for block in book.longest {
            guard let why = whyNotToBlock(block.address) else { continue }
            _ = book.removeAll(block.address)
            logger.warning("\(block.address) is blocked no more: \(why)")
        }
        blocks = book
        publishBlocks()
        if !book.blocks.isEmpty { logger.notice("\(book.longest.count) sources are blocked as before") }
    }

    /// Once a second: blocks whose time is over, and scanners that the policy blocks.
    func refreshBlocks(_ policy: Policy) {
        var isChanged = blocks.expire(at: Clocks.calendarSeconds())
        for worker in workers {
            for scanner in worker.engine.withLock({ $0.takeScannersToBlock() }) {
                if block(scanner: scanner.address, policy) { isChanged = true }
            }
        }
        if isChanged { publishBlocks() }
    }

    private func block(scanner: IPAddress, _ policy: Policy) -> Bool {
        guard let span = policy.document.reconnaissance.block, blocks[scanner, .reconnaissance] == nil
        else { return false }
        if let why = whyNotToBlock(scanner) {
            logger.warning("the scanner \(scanner) is not blocked: \(why)")
            return false
        }
        let now = Clocks.calendarSeconds()
        let block = BlockReport(
            address: scanner, author: .reconnaissance, since: now,
            until: now + max(1, span.nanoseconds / 1_000_000_000), why: "port scan")
        guard blocks.add(block) else {
            logger.warning("the scanner \(scanner) is not blocked: \(Self.noRoom(for: block.author))")
            return false
        }
        logger.notice("the scanner \(scanner) is blocked for \(block.until - now) s (reconnaissance.block)")
        return true
    }

    func block(_ request: BlockRequest) -> ControlReply {
        let sessions = request.sessions.compactMap(SSHSession.init)
        if let why = whyNotToBlock(request.address, sessions) {
            return .failure(ControlFailure(.failed, "\(request.address) is not blocked: \(why)"))
        }
        let now = Clocks.calendarSeconds()
        let block = BlockReport(
            address: request.address, author: request.program ?? .administrator, since: now,
            until: now + request.seconds, why: request.why)
        guard blocks.add(block) else {
            let why = Self.noRoom(for: block.author)
            let what =
                blocks[request.address].map {
                    "has no block by \(block.author.rawValue) beside \($0.author.rawValue)'s"
                }
                ?? "is not blocked"
            return .failure(ControlFailure(.failed, "\(request.address) \(what): \(why)"))
        }
        let isKept = publishBlocks()
        // What holds is the longest block, whoever has made it.
        if let longest = blocks[request.address], longest.until > block.until { return .blocked(longest.kept(isKept)) }
        return .blocked(block.kept(isKept))
    }

    private static func noRoom(for author: BlockAuthor) -> String {
        author == .administrator
            ? "all \(BlockBook.capacity) places are taken"
            : "no place is left of \(BlockBook.capacity) but the last \(BlockBook.keptForAdministrators), for administrators"
    }

    func unblock(_ request: UnblockRequest) -> ControlReply {
        guard let program = request.program else {
            guard let block = blocks.removeAll(request.address) else {
                return .failure(ControlFailure(.failed, "\(request.address) is not blocked"))
            }
            return .unblocked(block.kept(publishBlocks()))
        }
        let own = blocks.remove(request.address, program)
        let isKept = own == nil || publishBlocks()
        if let standing = blocks[request.address] { return .blocks([standing.kept(isKept)]) }
        // A program's block may have ended by itself: it is done either way.
        return own.map { .unblocked($0.kept(isKept)) } ?? .blocks([])
    }

    /// Why an address must not be blocked; nil: it may be.
    private func whyNotToBlock(_ address: IPAddress, _ more: [SSHSession] = []) -> String? {
        if network.addresses.contains(address) { return "it is an address of this host" }
        if address.isOfNoHost { return "no other host has this address" }
        let sessions = SSHServers.here().sessions + more
        guard let session = sessions.first(where: { $0.client == address }) else { return nil }
        return "a connection to the SSH server is open from there, and may be an administrator's (\(session.sentence))"
    }

    /// Tells all who have to know, and writes it down; whether it could be written.
    @discardableResult
    private func publishBlocks() -> Bool {
        closeListeners()
        let (now, calendar) = (Clocks.monotonic(), Clocks.calendarSeconds())
        var random = SystemRandomNumberGenerator()
        let longest = blocks.longest
        let table = BlockedSources(
            longest.map { block in
                SourceBlock(
                    BlockedAddress(block.address, version: block.isIPv6 ? 6 : 4),
                    until: now + .seconds(block.until - calendar), isOfScanner: block.author == .reconnaissance)
            }, seed: (random.next(), random.next()))
        log.setBlocks(longest.map { (BlockedAddress($0.address, version: $0.isIPv6 ? 6 : 4), $0.note) })
        for worker in workers { worker.engine.withLock { $0.setBlockedSources(table) } }
        agent.blocks.withLock { $0 = blocks.blocks }
        if offload.standing != .unused {
            pauseOffload()
            resumeOffload(policies.current)
            offload.isStale = true
        }
        let isKept = SmallFile.replace(blocksPath, with: blocks.text)
        if !isKept {
            logger.warning(
                "\(blocksPath) cannot be written: a restart will not know what has been blocked and let in again since it was"
            )
        }
        return isKept
    }
}

extension BlockReport {
    fileprivate func kept(_ isKept: Bool) -> BlockReport {
        var report = self
        report.isKept = isKept
        return report
    }

    /// What events say of it.
    fileprivate var note: String {
        let text = "until \(CalendarTime(unixMicroseconds: until * 1_000_000).textOfSeconds), by \(author.rawValue)"
        return why.isEmpty ? text : "\(text): \(why)"
    }
}

extension IPAddress {
    /// The unspecified address, those of the loopback, and those of groups.
    fileprivate var isOfNoHost: Bool {
        if isMappedV4 { return v4 >> 24 == 0 || v4 >> 24 == 127 || v4 >> 28 >= 0xe }
        return high == 0 && low <= 1 || high >> 56 == 0xff
    }
}
