// SPDX-License-Identifier: GPL-3.0-or-later

import AdministrativeSessions
import AgentControl
import ArgumentParser
import PacketWire

struct BlockCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "block", abstract: "Drop everything from an address for a while.",
        discussion: discussion(
            """
            The block comes before every rule, Bypass rules included, and holds for the connections that are open too. It \
            lasts its time: over reloads, restarts, upgrades and boots. It is refused for an address of this host, and for \
            one from which a connection to the SSH server is open, logged in or not: it may be an administrator's. Blocking an \
            address again replaces the time and reason that the same one gave it; beside blocks of others it is one of its \
            own, and the longest holds.

            Programs that ban name themselves (--by): fail2ban by its action portreeve, CrowdSec's custom bouncer by \
            /usr/lib/portreeve/crowdsec-bouncer. What they ask for neither shortens nor replaces another's block. There are \
            4,096 blocks at most, the last 64 of them for administrators.
            """))

    static let examples = [
        Example("portreeve block 198.51.100.7", "For an hour."),
        Example("portreeve block 2001:db8::7 --for 7d --why \"ticket 1234\"", "For a week, and why."),
        Example("portreeve block 198.51.100.7 --for 600s --by fail2ban/sshd", "As a program does."),
    ]

    @OptionGroup var control: ControlOptions
    @OptionGroup var outcome: OutcomeOptions

    @Argument(help: "An IPv4 or IPv6 address.") var address: String

    @Option(
        name: .customLong("for"),
        help: ArgumentHelp("How long: a number with s, m, h or d, to 366d.", valueName: "time"))
    var time = "1h"

    @Option(help: ArgumentHelp("Why, for who looks at it later.", valueName: "text"))
    var why = ""

    @Option(help: ArgumentHelp("The program that has it blocked, where no administrator does.", valueName: "name"))
    var by: String?

    func validate() throws { _ = try request() }

    private func request() throws -> BlockRequest {
        var request = BlockRequest(address: try parseAddress(address), seconds: try seconds())
        guard BlockRequest.isReason(why) else {
            throw ValidationError("--why takes at most \(BlockRequest.whyLimit) bytes without control characters")
        }
        request.why = why
        request.program = try parseProgram(by)
        return request
    }

    private func seconds() throws -> Int64 {
        guard let seconds = LengthOfTime.seconds(time), BlockRequest.secondsRange.contains(seconds) else {
            throw ValidationError("--for takes a number with its unit, 1s to 366d, such as 30m")
        }
        return seconds
    }

    func run() throws {
        var request = try request()
        request.sessions = SSHServers.here().sessions.prefix(ReloadRequest.sessionLimit).map(\.text)
        guard case .blocked(let block) = try control.ask(.block(request)) else { throw control.unexpected() }
        let isAnothers = block.author != request.program ?? .administrator
        outcome.say(
            "\(block.address) is blocked until \(WallTime(seconds: block.until).text)"
                + (isAnothers ? " already, by \(block.author.rawValue)" : "") + block.remark, .init("block", block.json)
        )
    }
}

extension BlockReport {
    /// That a change does not outlive the agent, where it does not.
    fileprivate var remark: String {
        isKept ? "" : "; but this could not be written down, and is lost when the agent restarts (its log says more)"
    }
}

struct UnblockCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "unblock", abstract: "Let an address in again that was blocked.",
        discussion: discussion(
            """
            By whomever: every block of the address is lifted, of administrators, reconnaissance detection and programs. A \
            program that names itself (--by) lifts its own block alone; where there is none, there is nothing to do, and that \
            is no error.
            """))

    static let examples = [
        Example("portreeve unblock 198.51.100.7", "Before its time is over."),
        Example("portreeve unblock 198.51.100.7 --by fail2ban/sshd", "Unless another has it blocked."),
    ]

    @OptionGroup var control: ControlOptions
    @OptionGroup var outcome: OutcomeOptions

    @Argument(help: "An IPv4 or IPv6 address.") var address: String

    @Option(help: ArgumentHelp("The program that had it blocked: no block but its own is lifted.", valueName: "name"))
    var by: String?

    func validate() throws { _ = try request() }

    private func request() throws -> UnblockRequest {
        UnblockRequest(address: try parseAddress(address), program: try parseProgram(by))
    }

    func run() throws {
        switch try control.ask(.unblock(try request())) {
        case .unblocked(let block):
            outcome.say("\(block.address) is not blocked any more\(block.remark)", .init("unblocked", block.json))
        case .blocks(let others):
            outcome.say(
                others.first.map {
                    "\($0.address) stays blocked until \(WallTime(seconds: $0.until).text), by \($0.author.rawValue)\($0.remark)"
                } ?? "\(address) is not blocked", .init("blocked", others.first?.json ?? .null))
        default: throw control.unexpected()
        }
    }
}

struct BlocksCommand: DescribedCommand {
    static let configuration = CommandConfiguration(
        commandName: "blocks", abstract: "List the addresses that are blocked.",
        discussion: discussion(
            """
            BY is an administrator (portreeve block), the name of a program (--by), or reconnaissance: a scanner \
            (reconnaissance.block of the policy). An address that several have blocked has a line for each, and is blocked \
            until the last.
            """
        ))

    static let examples = [
        Example("portreeve blocks", "Who is blocked, by whom, for how long, and why."),
        Example("portreeve blocks --json", "One line of JSON for each of them."),
    ]

    @OptionGroup var control: ControlOptions

    @Flag(help: "Print JSON lines.")
    var json = false

    func run() throws {
        guard case .blocks(let blocks) = try control.ask(.blocks) else { throw control.unexpected() }
        if json { return blocks.forEach { print($0.json.printed) } }
        var table = TextTable([.text("ADDRESS"), .text("BY"), .number("LEFT"), .text("UNTIL"), .text("WHY", cutTo: 8)])
        let now = WallTime.now.microseconds / 1_000_000
        for block in blocks {
            table.add([
                "\(block.address)", block.author.rawValue, max(0, block.until - now).lengthText,
                WallTime(seconds: block.until).text, block.why.harmless,
            ])
        }
        for line in table.lines(width: terminalWidth) { print(line) }
    }
}

private func parseProgram(_ name: String?) throws -> BlockAuthor? {
    guard let name else { return nil }
    guard let program = BlockAuthor(program: name) else {
        throw ValidationError(
            "--by takes a program's name of at most \(BlockAuthor.limit) letters, digits and .-_/:@, such as fail2ban/sshd"
        )
    }
    return program
}

private func parseAddress(_ text: String) throws -> IPAddress {
    guard let address = IPAddress(parsing: text) else {
        throw ValidationError("'\(text)' is no address such as 198.51.100.7 or 2001:db8::7")
    }
    return address
}
