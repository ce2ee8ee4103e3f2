// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import CSpawnShim
import Glibc
import PacketFilterRules

/// The process that takes unconfirmed rules of `iptables --apply --confirm` back. Where systemd runs, a transient timer of
/// its starts it; elsewhere that command does, in a session of its own, with no terminal and none of its descriptors. Either
/// survives the end of the session that made the change, which is the case it is for.
struct RollBackCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "iptables-roll-back", shouldDisplay: false)

    @Option var state = RollBackDirectory.defaultPath
    @Option var token: String

    func run() throws {
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGPIPE] { _ = Glibc.signal(signal, SIG_IGN) }
        let directory = RollBackDirectory(path: state)
        print(Self.ready)
        flush()
        Self.closeOutput()
        while let pending = directory.pending, pending.token == token {
            if PendingRollBack.now >= pending.deadline { return try Self.rollBack(directory, token) }
            usleep(200_000)
        }
    }

    /// What the process says once it waits.
    private static let ready = "armed"

    private static func rollBack(_ directory: RollBackDirectory, _ token: String) throws {
        let lock = try directory.lock()
        defer { lock.release() }
        guard let pending = directory.pending, pending.token == token else { return }
        var failure = ""
        // Another program may hold the rules, or be changing them.
        for _ in 0..<30 {
            do {
                try RuleChange(target: pending.rules).make(from: NamespaceRules.read())
                return directory.finish("\(WallTime.now.text)")
            } catch {
                failure = "\(error)"
                sleep(1)
            }
        }
        directory.finish("\(WallTime.now.text), failed: \(failure)")
    }

    private static func closeOutput() {
        let nowhere = unsafe open("/dev/null", O_RDWR)
        for descriptor in STDIN_FILENO...STDERR_FILENO { dup2(nowhere, descriptor) }
        close(nowhere)
    }
}

extension RollBackCommand {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Name of the transient units, without its type.
    static let unit = "portreeve-roll-back"

    /// Makes sure that the rules are taken back in so many seconds; returns by whom.
    static func arm(_ directory: RollBackDirectory, token: String, seconds: Int64) throws(Failure) -> String {
        let arguments = ["iptables-roll-back", "--state", directory.path, "--token", token]
        if Systemd.runsHere, let program = readLink("/proc/self/exe"),
            Systemd.start([program] + arguments, unit: unit, afterSeconds: seconds)
        {
            return "\(unit).timer"
        }
        try start(["portreeve"] + arguments)
        return "a process of its own"
    }

    /// Starts the process and returns when it waits.
    private static func start(_ arguments: [String]) throws(Failure) {
        var ends: [CInt] = [-1, -1]
        guard unsafe pipe(&ends) == 0 else { throw Failure(description: "pipe: \(SystemError.text(errno))") }
        var process = pid_t()
        let error = unsafe withCStrings(arguments) { arguments in
            unsafe cspawn_detached("/proc/self/exe", arguments, ends[1], &process)
        }
        close(ends[1])
        defer { close(ends[0]) }
        guard error == 0, String(decoding: readAll(ends[0]), as: UTF8.self) == ready + "\n" else {
            throw Failure(description: "the process that would take the rules back did not start; nothing was changed")
        }
    }
}
