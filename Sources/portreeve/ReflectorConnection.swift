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

    /// A channel on which both ends have proven who they are, and the program behind it, if there is one.
    struct Opened {
        var channel: ControlChannel
        fileprivate var process: pid_t?

        /// Ends both. A program that does not end with its input is ended.
        func close() {
            channel.close()
            guard let process else { return }
            var status: CInt = 0
            for _ in 0..<150 {
                guard unsafe waitpid(process, &status, WNOHANG) == 0 else { return }
                usleep(20_000)
            }
            kill(process, SIGKILL)
            _ = unsafe waitpid(process, &status, 0)
        }
    }

    func open(_ poller: Poller) throws(ControlFault) -> Opened {
        let opened: Opened
        let key: SecretKey?
        switch self {
        case .tcp(let endpoint, let secret):
            (opened, key) = (Opened(channel: try ControlChannel.connect(to: endpoint, poller)), secret)
        case .program(let words): (opened, key) = (try Self.start(words, poller), nil)
        }
        do throws(ControlFault) {
            try opened.channel.authenticate(key)
        } catch {
            opened.close()
            throw error
        }
        return opened
    }

    /// The program's messages go to our standard error.
    private static func start(_ words: [String], _ poller: Poller) throws(ControlFault) -> Opened {
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
            let channel = try ControlChannel(input: fromProgram.reading, output: toProgram.writing, poller)
            return Opened(channel: channel, process: process)
        } catch {
            throw ControlFault("\(words[0]): \(error)")
        }
    }
}
