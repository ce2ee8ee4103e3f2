// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import Glibc
import NIOPosix
import PacketWire
import Testing

@testable import AgentMetrics

/// The server with clients that send what they like. The live tests drive it with curl and floods of connections.
@Suite("Serving metrics")
struct MetricsServerTests {
    private let path = "/tmp/portreeve-metrics.\(UInt32.random(in: 0 ... .max))"

    /// Limits of time that no loaded machine reaches.
    private static var patient: MetricsLimits {
        var limits = MetricsLimits()
        limits.requestSeconds = 600
        limits.replySeconds = 600
        return limits
    }

    private func server(_ limits: MetricsLimits = patient) throws -> MetricsServer {
        try MetricsServer(.unix(path), mark: 0, limits: limits) { MetricsSample(version: "test") }
    }

    /// Waits for a blocking client away from Swift's threads, which the server needs.
    private func waiting<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async throws -> Value {
        try await NIOThreadPool.singleton.runIfActive(body)
    }

    private func exchange(_ bytes: String) async throws -> String {
        try await waiting { [path] in Client(path).ask(bytes) }
    }

    @Test("GET is answered with the metrics, and the connection ends")
    func get() async throws {
        let server = try server()
        let reply = try await exchange("GET /metrics HTTP/1.0\r\n\r\n")
        #expect(reply.hasPrefix("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"))
        #expect(reply.contains("\nportreeve_build_info{version=\"test\"} 1\n"))
        server.stop()
        #expect(unsafe access(path, F_OK) != 0)
    }

    @Test(
        "A refusal reaches the client whatever it still sends",
        arguments: [
            ("GET /other HTTP/1.0\r\n\r\n", "404"),
            ("POST /metrics HTTP/1.0\r\nContent-Length: 9\r\n\r\n123456789", "405"),
            (String(repeating: "x", count: 1 << 20), "431"), ("\u{16}\u{3}\u{1}\r\n\r\n", "400"),
        ])
    func refusals(_ request: String, _ status: String) async throws {
        let server = try server()
        #expect(try await exchange(request).hasPrefix("HTTP/1.1 \(status) "))
        server.stop()
    }

    @Test("Clients that connect and say nothing keep nobody out: the one that has waited longest gives way")
    func tooMany() async throws {
        var limits = Self.patient
        limits.clients = 3
        let server = try server(limits)
        let silent = (0..<3).map { _ in Client(path) }
        for _ in 0..<3 {
            #expect(try await exchange("GET /metrics HTTP/1.0\r\n\r\n").hasPrefix("HTTP/1.1 200"))
        }
        // What it asks now comes too late for the oldest, and in time for the youngest.
        #expect(try await waiting { silent[0].ask("GET /metrics HTTP/1.0\r\n\r\n") } == "")
        #expect(try await waiting { silent[2].ask("GET /metrics HTTP/1.0\r\n\r\n") }.hasPrefix("HTTP/1.1 200"))
        server.stop()
    }

    @Test("A client that is slow with its request is closed, and makes room for another")
    func slow() async throws {
        var limits = Self.patient
        limits.clients = 1
        limits.requestSeconds = 1
        let server = try server(limits)
        let first = Client(path)
        #expect(try await waiting { first.ask("GET /metr") } == "")
        var reply = ""
        while reply.isEmpty { reply = try await exchange("GET /metrics HTTP/1.0\r\n\r\n") }
        #expect(reply.hasPrefix("HTTP/1.1 200"))
        server.stop()
        #expect(unsafe access(path, F_OK) != 0)
    }

    @Test("A stale socket is replaced; one in use is an error that says so")
    func inUse() async throws {
        let first = try server()
        let error = try await waiting { #expect(throws: MetricsServerError.self) { try server() } }
        #expect(error?.description.contains("is in use by another program") == true)
        first.stop()
    }

    @Test("A TCP port in use is an error that names it, and free again after a stop")
    func tcp() throws {
        let address = IPAddress(v4: 0x7f00_0001)
        let endpoint = try #require(
            (20_000...30_000).shuffled().lazy.compactMap { port -> LoopbackEndpoint? in
                guard let endpoint = LoopbackEndpoint(address: address, port: UInt16(port)),
                    let server = try? MetricsServer(
                        .loopback(endpoint), mark: 1 << 24, sample: { MetricsSample(version: "") })
                else { return nil }
                #expect {
                    try MetricsServer(.loopback(endpoint), mark: 0) { MetricsSample(version: "") }
                } throws: { "\($0)" == "metrics are not served: \(endpoint): Address already in use" }
                server.stop()
                return endpoint
            }.first)
        let again = try MetricsServer(.loopback(endpoint), mark: 0) { MetricsSample(version: "") }
        again.stop()
    }
}

/// A connection to the socket at `path`.
private final class Client: Sendable {
    private let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)

    init(_ path: String) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
        unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = unsafe connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }

    deinit { close(descriptor) }

    /// Sends all of it, whatever becomes of it, and reads until the other side ends.
    func ask(_ text: String) -> String {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let sent = unsafe bytes.withUnsafeBytes {
                unsafe send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard sent > 0 else { break }
            bytes = bytes.dropFirst(sent)
        }
        var answer: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while case let count = unsafe recv(descriptor, &chunk, chunk.count, 0), count > 0 { answer += chunk[..<count] }
        return String(decoding: answer, as: UTF8.self)
    }
}
