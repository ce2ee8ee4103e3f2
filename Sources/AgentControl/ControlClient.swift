// SPDX-License-Identifier: GPL-3.0-or-later

import NIOCore
import NIOPosix

/// The tool's end of the control socket: one connection per request, waiting for the reply. Not to be called on an event
/// loop.
package struct ControlClient: Sendable {
    package let path: String
    /// For the whole exchange.
    package let timeoutSeconds: Int64

    package init(path: String = ControlProtocol.defaultPath, timeoutSeconds: Int64 = 30) {
        self.path = path
        self.timeoutSeconds = timeoutSeconds
    }

    /// The agent's reply; a refusal is thrown as `ControlError.refused`.
    package func request(_ request: ControlRequest) throws(ControlError) -> ControlReply {
        let reply: ControlReply
        do {
            reply = try ControlReply(message: try exchange(request))
        } catch let error as ControlError {
            throw error
        } catch {
            throw ControlError(error, path: path, seconds: timeoutSeconds)
        }
        if case .failure(let failure) = reply { throw .refused(failure) }
        return reply
    }

    private func exchange(_ request: ControlRequest) throws -> [UInt8] {
        let line = request.message + [UInt8(ascii: "\n")]
        let seconds = timeoutSeconds
        let loop = ControlLoop.group.next()
        let promise = loop.makePromise(of: [UInt8].self)
        let connecting = ClientBootstrap(group: loop)
            .connectTimeout(.seconds(seconds))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        ControlExchange(line: line, seconds: seconds, promise: promise))
                }
            }
            .connect(unixDomainSocketPath: path)
        connecting.whenFailure { promise.fail($0) }
        return try promise.futureResult.wait()
    }
}

extension ControlClient {
    /// Who is behind a path that exists.
    enum Presence: Hashable {
        case answers(AgentIdentity)
        case somebodyElse
        case nobody
    }

    func probe() -> Presence {
        do {
            guard case .pong(let identity) = try request(.ping) else { return .somebodyElse }
            return .answers(identity)
        } catch .notRunning {
            return .nobody
        } catch {
            return .somebodyElse
        }
    }
}

/// One request and its reply.
private final class ControlExchange: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let line: [UInt8]
    private let seconds: Int64
    private let promise: EventLoopPromise<[UInt8]>
    private var received: [UInt8] = []
    private var isFinished = false
    private var deadline: Scheduled<Void>?

    init(line: [UInt8], seconds: Int64, promise: EventLoopPromise<[UInt8]>) {
        self.line = line
        self.seconds = seconds
        self.promise = promise
    }

    func channelActive(context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: .seconds(seconds)) {
            let (exchange, context) = bound.value
            exchange.finish(.failure(ExchangeError.timedOut), context)
        }
        context.writeAndFlush(wrapOutboundOut(context.channel.allocator.buffer(bytes: line)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data).readableBytesView
        if let end = bytes.firstIndex(of: UInt8(ascii: "\n")) {
            received.append(contentsOf: bytes[..<end])
            return finish(.success(received), context)
        }
        received.append(contentsOf: bytes)
        if received.count > ControlProtocol.replyLimit { finish(.failure(ExchangeError.tooLong), context) }
    }

    func channelInactive(context: ChannelHandlerContext) { finish(.failure(ExchangeError.closed), context) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { finish(.failure(error), context) }

    /// Hands the first result over once the connection is gone.
    private func finish(_ result: Result<[UInt8], any Error>, _ context: ChannelHandlerContext) {
        guard !isFinished else { return }
        isFinished = true
        deadline?.cancel()
        context.channel.end().whenComplete { [promise] _ in promise.completeWith(result) }
    }
}

enum ExchangeError: Error { case timedOut, tooLong, closed }
