// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
package import FirewallPolicy
import Glibc
import NIOCore
import NIOPosix
import PacketWire

/// Where metrics are served.
package enum MetricsEndpoint: Hashable, Sendable, CustomStringConvertible {
    case unix(String)
    case loopback(LoopbackEndpoint)

    package var description: String {
        switch self {
        case .unix(let path): path
        case .loopback(let endpoint): endpoint.description
        }
    }
}

/// What the server spends on its clients at most.
package struct MetricsLimits: Hashable, Sendable {
    /// At once. The next one takes the place of the one that has waited longest without a whole request.
    package var clients = 16
    /// Seconds from the connection to the end of the request.
    package var requestSeconds: Int64 = 5
    /// Seconds from then on until the connection ends.
    package var replySeconds: Int64 = 5

    package init() {}
}

/// Serves the metrics over HTTP. It runs on one of NIO's threads and never touches a worker; a client costs one descriptor, at
/// most `HTTPRequest.limit` bytes and one more read, and one reply, for a few seconds.
package final class MetricsServer: Sendable {
    /// Takes the numbers; called on one of the `AnswerThreads`, for several clients at once.
    package typealias Sample = @Sendable () -> MetricsSample

    /// Whose members may read the Unix socket, where the host has it: who may scrape must not be able to reload.
    package static let group = "portreeve-metrics"

    private let listener: any Channel
    private let sessions: SessionRegister
    private let file: SocketFile?

    /// Listens. The mark is put on all packets of the sockets, by which the engine tells the agent's own traffic.
    package init(
        _ endpoint: MetricsEndpoint, mark: UInt32, limits: MetricsLimits = MetricsLimits(), sample: @escaping Sample
    ) throws(MetricsServerError) {
        sessions = SessionRegister(limit: limits.clients)
        let bootstrap = Self.bootstrap(mark, sessions, limits, sample)
        do {
            switch endpoint {
            case .unix(let path):
                let socket = try ClaimedSocket(path: path, group: Self.group)
                file = socket.file
                listener = try bootstrap.withBoundSocket(socket.descriptor).wait()
            case .loopback(let endpoint):
                file = nil
                listener = try bootstrap.bind(
                    to: SocketAddress(ipAddress: "\(endpoint.address)", port: Int(endpoint.port))
                ).wait()
            }
        } catch {
            throw MetricsServerError(endpoint, error)
        }
    }

    /// Ends all connections and removes the socket. Later calls do nothing.
    package func stop() {
        file?.remove()
        sessions.end(listener)
    }

    /// One thread of its own, never shut down: what its clients do is no affair of the control socket's.
    private static let loop = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    private static func bootstrap(
        _ mark: UInt32, _ sessions: SessionRegister, _ limits: MetricsLimits, _ sample: @escaping Sample
    ) -> ServerBootstrap {
        ServerBootstrap(group: loop)
            .serverChannelOption(.backlog, value: 16)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                setMark(mark, of: channel).flatMapThrowing {
                    // Out of descriptors: wait and try again instead of closing the listener.
                    try channel.pipeline.syncOperations.addHandler(AcceptBackoffHandler())
                }
            }
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.maxMessagesPerRead, value: 1)
            .childChannelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 4096))
            .childChannelOption(.allowRemoteHalfClosure, value: false)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        MetricsSession(sessions: sessions, limits: limits, sample: sample))
                }
            }
    }

    /// Accepted connections inherit it. Without the privilege to set it they go the way of all traffic.
    private static func setMark(_ mark: UInt32, of channel: any Channel) -> EventLoopFuture<Void> {
        let option = ChannelOptions.Types.SocketOption(
            level: NIOBSDSocket.OptionLevel.socket, name: NIOBSDSocket.Option(rawValue: SO_MARK))
        return channel.setOption(option, value: SocketOptionValue(Int32(bitPattern: mark))).recover { _ in }
    }
}

/// Why metrics cannot be served.
package struct MetricsServerError: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String

    init(_ endpoint: MetricsEndpoint, _ error: any Error) {
        let why =
            switch error {
            case let error as ControlServerError: "\(error)"
            case let error as IOError: "\(endpoint): \(SystemError.text(error.errnoCode))"
            default: "\(endpoint): \(error)"
            }
        description = "metrics are not served: \(why)"
    }
}
