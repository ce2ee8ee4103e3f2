// SPDX-License-Identifier: GPL-3.0-or-later

import Dispatch
import Glibc
import NIOPosix
import Synchronization
import Testing

@testable import AgentControl

/// Runs what waits on a thread of its own, so that Swift's few threads stay free for other tests.
private func waiting<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await NIOThreadPool.singleton.runIfActive(body)
}

@Suite("The control socket", .timeLimit(.minutes(1)))
struct ControlServerTests {
    private let directory = TemporaryDirectory()

    private static let answer: ControlServer.Answer = { request, _ in
        switch request {
        case .ping: .pong(Samples.identity)
        case .status: .status(Samples.status)
        case .connections: .connections(ConnectionPage(rows: [Samples.connection()], next: nil))
        case .scene: .scene(Samples.scene)
        case .settings: .settings(SettingsReport(policyEpoch: 1, values: [:]))
        case .reload, .keep: .failure(ControlFailure(.unavailable, "starting"))
        case .coldStart: .coldStarted
        case .reopen: .reopened
        case .block, .unblock: .blocked(Samples.blocked)
        case .blocks: .blocks([Samples.blocked])
        case .rules: .rules(Samples.rules)
        }
    }

    private func ask(_ request: ControlRequest) async throws -> ControlReply {
        let path = directory.socket
        return try await waiting { try ControlClient(path: path, timeoutSeconds: 600).request(request) }
    }

    @Test("who asks is the user and the process that the kernel names")
    func peer() async throws {
        let peers = Mutex<[ControlPeer?]>([])
        let server = try ControlServer(path: directory.socket) { _, peer in
            peers.withLock { $0.append(peer) }
            return .coldStarted
        }
        defer { server.stop() }
        _ = try await ask(.coldStart)
        #expect(peers.withLock { $0 } == [ControlPeer(userID: getuid(), processID: getpid())])
    }

    private func raw<Value: Sendable>(_ body: @escaping @Sendable (RawClient) -> Value) async throws -> Value {
        let path = directory.socket
        return try await waiting { body(RawClient(path: path)) }
    }

    @Test("A request is answered, a refusal is thrown")
    func answers() async throws {
        let server = try ControlServer(path: directory.socket, handler: Self.answer)
        #expect(try await ask(.ping) == .pong(Samples.identity))
        #expect(try await ask(.status) == .status(Samples.status))
        #expect(try await ask(.reopen) == .reopened)
        await #expect(throws: ControlError.refused(ControlFailure(.unavailable, "starting"))) {
            try await ask(.reload(ReloadRequest()))
        }
        server.stop()
    }

    @Test("Only owner and group may connect, and the socket is gone after the stop")
    func file() throws {
        let server = try ControlServer(path: directory.socket, handler: Self.answer)
        #expect(directory.mode(of: directory.socket) == 0o660)
        server.stop()
        #expect(directory.mode(of: directory.socket) == nil)
        server.stop()
    }

    @Test("A socket that nobody answers on is replaced")
    func stale() async throws {
        RawClient.leaveStaleSocket(at: directory.socket)
        let server = try ControlServer(path: directory.socket, handler: Self.answer)
        #expect(try await ask(.ping) == .pong(Samples.identity))
        server.stop()
    }

    @Test("A socket in use is an error that names the agent behind it, and the agent keeps it")
    func inUse() async throws {
        let server = try ControlServer(path: directory.socket, handler: Self.answer)
        let path = directory.socket
        let error = try await waiting {
            #expect(throws: ControlServerError.self) { try ControlServer(path: path, handler: Self.answer) }
        }
        #expect(error == .inUse(path, Samples.identity))
        #expect(error?.description.contains("4711") == true)
        #expect(try await ask(.ping) == .pong(Samples.identity))
        server.stop()
    }

    @Test("A path that is no socket is refused and left alone")
    func notASocket() {
        directory.write("keep", to: directory.socket)
        #expect(throws: ControlServerError.notASocket(directory.socket)) {
            try ControlServer(path: directory.socket, handler: Self.answer)
        }
        #expect(directory.mode(of: directory.socket) == 0o600)
    }

    @Test("A path that is too long, and one without its directory, are refused")
    func badPaths() {
        let long = directory.path + "/" + String(repeating: "x", count: 120)
        #expect(throws: ControlServerError.pathTooLong(long)) { try ControlServer(path: long, handler: Self.answer) }
        let missing = directory.path + "/none/control.sock"
        let error = #expect(throws: ControlServerError.self) { try ControlServer(path: missing, handler: Self.answer) }
        #expect(error?.description.contains("create its directory") == true)
    }

    @Test("A stop does not remove the socket of a successor")
    func successor() async throws {
        let first = try ControlServer(path: directory.socket, handler: Self.answer)
        try await waiting { [path = directory.socket] in
            _ = unsafe unlink(path)
        }
        let second = try ControlServer(path: directory.socket, handler: Self.answer)
        first.stop()
        #expect(try await ask(.ping) == .pong(Samples.identity))
        second.stop()
    }

    @Test("Requests of one connection are answered in order, also when they come in one piece or byte by byte")
    func pipelining() async throws {
        let server = try ControlServer(path: directory.socket, handler: Self.answer)
        let words = try await raw { client in
            client.send(#"{"portreeve":1,"request":"ping"}"# + "\n" + #"{"portreeve":1,"request":"reopen"}"# + "\n")
            for byte in #"{"portreeve":1,"request":"ping"}"#.utf8 { client.send([byte]) }
            client.send("\n")
            return [client.line(), client.line(), client.line()].map { $0?.split(separator: "\"")[5] }
        }
        #expect(words == ["pong", "reopened", "pong"])
        server.stop()
    }

    @Test(
        "Garbage is answered with a refusal, and the next request on the connection works",
        arguments: ["", "\0\0\0\0", "GET / HTTP/1.1\r", #"{"portreeve":1,"request":"#, "\u{fffd}{{{{", "[[[[[[[[["])
    func garbage(text: String) async throws {
        let server = try ControlServer(path: directory.socket, handler: Self.answer)
        let lines = try await raw { client in
            client.send(text + "\n" + #"{"portreeve":1,"request":"ping"}"# + "\n")
            return [client.line(), client.line()]
        }
        #expect(lines[0]?.contains(#""code":"malformed""#) == true)
        #expect(lines[1]?.contains(#""reply":"pong""#) == true)
        server.stop()
    }

    @Test("A request without end is refused at the limit and the connection closed")
    func endless() async throws {
        let server = try ControlServer(path: directory.socket, handler: Self.answer)
        let path = directory.socket
        let lines = try await waiting {
            let client = RawClient(path: path)
            client.send([UInt8](repeating: UInt8(ascii: "["), count: ControlProtocol.requestLimit + 1))
            return [client.line(), client.line()]
        }
        #expect(lines[0]?.contains(#""code":"too-long""#) == true)
        #expect(lines[1] == nil)
        #expect(try await ask(.ping) == .pong(Samples.identity))
        server.stop()
    }

    @Test("A request of exactly the limit is read")
    func longest() async throws {
        let server = try ControlServer(path: directory.socket, handler: Self.answer)
        let line = try await raw { client in
            let start = #"{"portreeve":1,"request":"ping","padding":""#
            let padding = String(repeating: "x", count: ControlProtocol.requestLimit - start.utf8.count - 2)
            client.send(start + padding + "\"}\n")
            return client.line()
        }
        #expect(line?.contains(#""reply":"pong""#) == true)
        server.stop()
    }

    @Test("A reply beyond the limit is replaced by a refusal")
    func longReply() async throws {
        let server = try ControlServer(path: directory.socket) { _, _ in
            var report = StatusReport(agent: Samples.identity)
            report.warnings = [String(repeating: "x", count: ControlProtocol.replyLimit)]
            return .status(report)
        }
        let error = await #expect(throws: ControlError.self) { try await ask(.status) }
        guard case .refused(let failure)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(failure.code == .tooLong)
        server.stop()
    }

    @Test("A reply of several megabytes arrives whole")
    func bigReply() async throws {
        var report = StatusReport(agent: Samples.identity)
        report.warnings = [String(repeating: "y", count: 4 << 20)]
        var limits = ControlLimits()
        // A sanitizer makes the reply slow.
        limits.replySeconds = 600
        let server = try ControlServer(path: directory.socket, limits: limits) { [report] _, _ in .status(report) }
        defer { server.stop() }
        #expect(try await ask(.status) == .status(report))
    }

    @Test("One client too many is told that the agent is busy, and served once another has left")
    func tooMany() async throws {
        var limits = ControlLimits()
        limits.clients = 2
        let server = try ControlServer(path: directory.socket, limits: limits, handler: Self.answer)
        let path = directory.socket
        let ping = #"{"portreeve":1,"request":"ping"}"# + "\n"
        let lines = try await waiting {
            let others = [RawClient(path: path), RawClient(path: path)]
            for other in others {
                other.send(ping)
                _ = other.line()
            }
            let third = RawClient(path: path)
            return [third.line(), third.line()]
        }
        #expect(lines[0]?.contains(#""code":"busy""#) == true)
        #expect(lines[1] == nil)
        // The two are gone; the server learns of it in its own time.
        var reply: ControlReply?
        while reply == nil { reply = try? await ask(.ping) }
        #expect(reply == .pong(Samples.identity))
        server.stop()
    }

    @Test("Clients that send nothing, half a request, or never read their reply do not keep others waiting")
    func slowClients() async throws {
        let server = try ControlServer(path: directory.socket, handler: Self.answer)
        let path = directory.socket
        let reply = try await waiting {
            let silent = RawClient(path: path)
            let half = RawClient(path: path)
            half.send(#"{"portreeve":1,"#)
            let deaf = RawClient(path: path)
            for _ in 0..<100_000 where deaf.send(ControlRequest.status.message + [0x0a]) > 0 {}
            defer { withExtendedLifetime([silent, half, deaf]) {} }
            return try ControlClient(path: path, timeoutSeconds: 600).request(.ping)
        }
        #expect(reply == .pong(Samples.identity))
        server.stop()
    }

    @Test("A client that asks nothing in time is closed")
    func idle() async throws {
        var limits = ControlLimits()
        limits.requestSeconds = 1
        let server = try ControlServer(path: directory.socket, limits: limits, handler: Self.answer)
        let line = try await raw { client in
            client.send(#"{"portreeve":1,"#)
            return client.line()
        }
        #expect(line == nil)
        server.stop()
    }

    @Test("A client that leaves while its request is answered does no harm")
    func gone() async throws {
        let (arrived, arrival) = AsyncStream.makeStream(of: Void.self)
        let release = DispatchSemaphore(value: 0)
        let server = try ControlServer(path: directory.socket) { request, _ in
            guard request == .status else { return .reopened }
            arrival.finish()
            release.wait()
            return .status(Samples.status)
        }
        _ = try await raw { client in client.send(ControlRequest.status.message + [0x0a]) }
        for await _ in arrived {}
        release.signal()
        #expect(try await ask(.ping) == .reopened)
        server.stop()
    }

    @Test("A stop while a request is being answered ends the connection, and the late answer does no harm")
    func stopWhileAnswering() async throws {
        let (arrived, arrival) = AsyncStream.makeStream(of: Void.self)
        let release = DispatchSemaphore(value: 0)
        let server = try ControlServer(path: directory.socket) { _, _ in
            arrival.finish()
            release.wait()
            return .status(Samples.status)
        }
        let asked = Task { try await ask(.status) }
        for await _ in arrived {}
        server.stop()
        await #expect(throws: ControlError.closed(directory.socket)) { try await asked.value }
        release.signal()
    }
}

@Suite("Asking an agent that is not there")
struct ControlClientTests {
    private let directory = TemporaryDirectory()

    @Test("No socket, and a socket without a listener, both say that no agent is running and what that means")
    func notRunning() {
        let client = ControlClient(path: directory.socket)
        #expect(throws: ControlError.notRunning(directory.socket)) { try client.request(.ping) }
        RawClient.leaveStaleSocket(at: directory.socket)
        let error = #expect(throws: ControlError.notRunning(directory.socket)) { try client.request(.ping) }
        #expect(error?.description.contains("not protected, or it is shut") == true)
    }

    @Test("A path that is too long is an error, not a crash")
    func longPath() {
        let client = ControlClient(path: "/" + String(repeating: "x", count: 200))
        let error = #expect(throws: ControlError.self) { try client.request(.ping) }
        #expect(error?.description.contains("107 bytes") == true)
    }
}
