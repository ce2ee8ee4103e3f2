// SPDX-License-Identifier: GPL-3.0-or-later

import NIOCore

/// One client's connection: reads a line, has it answered, writes the reply, and only then reads on.
final class ControlSession: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        case reading
        case answering
        case replying
        case closing
    }

    private let sessions: SessionRegister
    private let limits: ControlLimits
    private let handler: ControlServer.Answer
    private var phase = Phase.reading
    private var isAdmitted = false
    /// After the reply the connection ends.
    private var isEnding = false
    private var received: [UInt8] = []
    private var deadline: Scheduled<Void>?
    /// nil until it is known, and where it is not to be known.
    private var peer: ControlPeer?

    init(sessions: SessionRegister, limits: ControlLimits, handler: @escaping ControlServer.Answer) {
        self.sessions = sessions
        self.limits = limits
        self.handler = handler
    }

    func channelActive(context: ChannelHandlerContext) {
        isAdmitted = sessions.enter(context.channel)
        guard isAdmitted else {
            return reply(.failure(ControlFailure(.busy, "the agent serves too many clients; try again")), context)
        }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        ControlPeer.of(context.channel) { bound.value.peer = $0 }
        read(context)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if isAdmitted { sessions.leave(context.channel) }
        phase = .closing
        deadline?.cancel()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        received.append(contentsOf: unwrapInboundIn(data).readableBytesView)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        guard phase == .reading else { return }
        takeRequest(context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { close(context) }

    private func read(_ context: ChannelHandlerContext) {
        phase = .reading
        limit(to: limits.requestSeconds, context)
        // A request may have come together with the one before.
        takeRequest(context)
    }

    private func takeRequest(_ context: ChannelHandlerContext) {
        guard let end = received.firstIndex(of: UInt8(ascii: "\n")) else {
            return received.count > ControlProtocol.requestLimit ? refuseLength(context) : context.read()
        }
        guard end <= ControlProtocol.requestLimit else { return refuseLength(context) }
        let line = Array(received[..<end])
        received.removeFirst(end + 1)
        deadline?.cancel()
        do {
            answer(try ControlRequest(message: line), context)
        } catch {
            reply(.failure(error), context)
        }
    }

    private func refuseLength(_ context: ChannelHandlerContext) {
        isEnding = true
        reply(
            .failure(ControlFailure(.tooLong, "a request is at most \(ControlProtocol.requestLimit) bytes")), context)
    }

    private func answer(_ request: ControlRequest, _ context: ChannelHandlerContext) {
        phase = .answering
        let (handler, peer) = (handler, peer)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        AnswerThreads.run(for: context.eventLoop) { handler(request, peer) }.whenSuccess { reply in
            let (session, context) = bound.value
            guard session.phase == .answering else { return }
            session.reply(reply, context)
        }
    }

    private func reply(_ reply: ControlReply, _ context: ChannelHandlerContext) {
        phase = .replying
        var bytes = reply.message
        if bytes.count > ControlProtocol.replyLimit {
            bytes =
                ControlReply.failure(
                    ControlFailure(.tooLong, "the reply is longer than \(ControlProtocol.replyLimit) bytes")
                ).message
        }
        bytes.append(UInt8(ascii: "\n"))
        limit(to: limits.replySeconds, context)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(context.channel.allocator.buffer(bytes: bytes))).whenComplete { result in
            let (session, context) = bound.value
            guard session.phase == .replying else { return }
            guard case .success = result, session.isAdmitted, !session.isEnding else { return session.close(context) }
            session.goOn(context)
        }
    }

    /// By way of the loop: requests that came in one piece neither grow the stack, however many they are, nor keep the
    /// loop from other clients.
    private func goOn(_ context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.execute {
            let (session, context) = bound.value
            if session.phase == .replying { session.read(context) }
        }
    }

    private func limit(to seconds: Int64, _ context: ChannelHandlerContext) {
        deadline?.cancel()
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        deadline = context.eventLoop.scheduleTask(in: .seconds(seconds)) {
            let (session, context) = bound.value
            session.close(context)
        }
    }

    private func close(_ context: ChannelHandlerContext) {
        phase = .closing
        context.close(promise: nil)
    }
}
