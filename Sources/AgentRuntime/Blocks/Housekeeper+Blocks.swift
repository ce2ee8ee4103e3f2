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
        for block in book.blocks {
            guard let why = whyNotToBlock(block.address) else { continue }
            _ = book.remove(block.address)
            logger.warning("\(block.address) is blocked no more: \(why)")
        }
        blocks = book
        publishBlocks()
        if !book.blocks.isEmpty { logger.notice("\(book.blocks.count) sources are blocked as before") }
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
        guard let span = policy.document.reconnaissance.block, blocks[scanner] == nil else { return false }
        if let why = whyNotToBlock(scanner) {
            logger.warning("the scanner \(scanner) is not blocked: \(why)")
            return false
        }
        let now = Clocks.calendarSeconds()
        let block = BlockReport(
            address: scanner, author: .reconnaissance, since: now,
            until: now + max(1, span.nanoseconds / 1_000_000_000), why: "port scan")
        guard blocks.add(block) else {
            logger.warning("the scanner \(scanner) is not blocked: \(BlockBook.capacity) sources are")
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
        // What a program asks for shortens nobody else's block.
        if let standing = blocks[request.address], request.program != nil, standing.author != block.author,
            standing.until >= block.until
        {
            return .blocked(standing)
        }
        guard blocks.add(block) else {
            return .failure(
                ControlFailure(
                    .failed,
                    "\(request.address) is not blocked: \(BlockBook.capacity) sources are, and there is no room for another"
                ))
        }
        publishBlocks()
        return .blocked(block)
    }

    func unblock(_ request: UnblockRequest) -> ControlReply {
        // A program's block may have ended by itself, or an administrator's have come into its place: it is done either way.
        if let program = request.program, blocks[request.address]?.author != program {
            return .blocks(blocks[request.address].map { [$0] } ?? [])
        }
        guard let block = blocks.remove(request.address) else {
            return .failure(ControlFailure(.failed, "\(request.address) is not blocked"))
        }
        publishBlocks()
        return .unblocked(block)
    }

    /// Why an address must not be blocked; nil: it may be.
    private func whyNotToBlock(_ address: IPAddress, _ more: [SSHSession] = []) -> String? {
        if network.addresses.contains(address) { return "it is an address of this host" }
        if address.isOfNoHost { return "no other host has this address" }
        let sessions = SSHServers.here().sessions + more
        guard let session = sessions.first(where: { $0.client == address }) else { return nil }
        return "an administrator is connected from there (\(session.sentence))"
    }

    /// Tells all who have to know, and writes it down.
    private func publishBlocks() {
        closeListeners()
        let (now, calendar) = (Clocks.monotonic(), Clocks.calendarSeconds())
        var random = SystemRandomNumberGenerator()
        let table = BlockedSources(
            blocks.blocks.map { block in
                SourceBlock(
                    BlockedAddress(block.address, version: block.isIPv6 ? 6 : 4),
                    until: now + .seconds(block.until - calendar), isOfScanner: block.author == .reconnaissance)
            }, seed: (random.next(), random.next()))
        log.setBlocks(blocks.blocks.map { (BlockedAddress($0.address, version: $0.isIPv6 ? 6 : 4), $0.note) })
        for worker in workers { worker.engine.withLock { $0.setBlockedSources(table) } }
        agent.blocks.withLock { $0 = blocks.blocks }
        if offload.standing != .unused {
            pauseOffload()
            resumeOffload(policies.current)
            offload.isStale = true
        }
        SmallFile.replace(blocksPath, with: blocks.text)
    }
}

extension BlockReport {
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
