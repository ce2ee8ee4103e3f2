// SPDX-License-Identifier: GPL-3.0-or-later

import CSpawnShim
import Glibc
import PathProbe

/// How a scan reaches its reflector: over TCP, or through a program's standard input and output.
enum ReflectorConnection {
    case tcp(Endpoint, SecretKey)
    case program([String])

    /// The words of `--control-via`: `ssh`, or `exec:` and a line for the shell.
    static func program(_ words: String, host: String) -> ReflectorConnection? {
        if words == "ssh" {
            return .program(["ssh", "-T", "--", host, "portreeve", "reflect", "--stdio", "--listen", "any"])
        }
        guard words.hasPrefix("exec:"), words.count > 5 else { return nil }
        return .program(["/bin/sh", "-c", String(words.dropFirst(5))])
    }

    func open(_ poller: Poller) throws(ControlFault) -> ControlChannel {
        switch self {
        case .tcp(let endpoint, let key):
            let channel = try ControlChannel.connect(to: endpoint, poller)
            try channel.authenticate(key)
            return channel
        case .program(let words):
            let channel = try Self.start(words, poller)
            try channel.authenticate(nil)
            return channel
        }
    }

    /// The program's messages go to our standard error. It ends when the channel is closed.
    private static func start(_ words: [String], _ poller: Poller) throws(ControlFault) -> ControlChannel {
        do throws(SystemFault) {
            let toProgram = try makePipe()
            let fromProgram = try makePipe()
            defer {
                close(toProgram.reading)
                close(fromProgram.writing)
            }
            var process = pid_t()
            let files = [toProgram.reading, fromProgram.writing, STDERR_FILENO]
            let error = unsafe withCStrings(words) { arguments in
                unsafe cspawn_attached(words[0], arguments, files, &process)
            }
            guard error == 0 else { throw SystemFault(error) }
            return try ControlChannel(input: fromProgram.reading, output: toProgram.writing, poller)
        } catch {
            throw ControlFault("\(words[0]): \(error)")
        }
    }
}
