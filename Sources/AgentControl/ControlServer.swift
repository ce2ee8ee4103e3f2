// SPDX-License-Identifier: GPL-3.0-or-later

import NIOCore
import NIOPosix

/// The agent's end of the control socket.
///
/// It runs on one of NIO's threads and never touches a worker: what a request needs of the agent is the answer's affair. A
/// client costs one descriptor, at most one request of `ControlProtocol.requestLimit` bytes and one reply; nothing more is
/// read from it before its reply has left, and a client that neither asks nor reads is closed. So no client can block
/// the agent or another client, or make the agent grow.
package final class ControlServer: Sendable {
    /// Answers one request of a client; called on one of the `AnswerThreads`, for several clients at once.
    package typealias Answer = @Sendable (ControlRequest, ControlPeer?) -> ControlReply

    private let listener: any Channel
    private let sessions: SessionRegister
    private let file: SocketFile

    /// Listens on `path` with mode 0660. A socket that nobody answers on is replaced; one that is in use, or a path that is
    /// no socket, is an error. The directory must exist.
    package init(
        path: String, limits: ControlLimits = ControlLimits(), handler: @escaping Answer
    )
        throws(ControlServerError)
    {
        let socket = try ClaimedSocket(path: path)
        sessions = SessionRegister(limit: limits.clients)
        file = socket.file
        do {
            listener = try Self.bootstrap(sessions, limits, handler).withBoundSocket(socket.descriptor).wait()
        } catch {
            file.remove()
            throw ControlServerError.failed(path, call: "listen", errno: (error as? IOError)?.errnoCode ?? 0)
        }
    }

    /// Ends all connections, cutting requests that are being answered, and removes the socket. Later calls do nothing.
    package func stop() {
        file.remove()
        sessions.end(listener)
    }

    private static func bootstrap(
        _ sessions: SessionRegister, _ limits: ControlLimits, _ handler: @escaping Answer
    ) -> ServerBootstrap {
        ServerBootstrap(group: ControlLoop.group)
            .serverChannelOption(.backlog, value: 16)
            .serverChannelInitializer { channel in
                // Out of descriptors: wait and try again instead of closing the listener.
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptBackoffHandler())
                }
            }
            .childChannelOption(.autoRead, value: false)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        ControlSession(sessions: sessions, limits: limits, handler: handler))
                }
            }
    }
}
