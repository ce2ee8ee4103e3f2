// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import NIOCore

/// One scraper's connection: reads the head of one request, answers it, and ends.
final class MetricsSession: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum Phase {
        case reading
        case answering
        /// The reply is sent or on its way; what still comes is thrown away, because closing at once would make the kernel
        /// reset the connection and the client lose the reply.
        case ending
        case closed
    }

    private let sessions: SessionRegister
    private let limits: MetricsLimits
    private let sample: MetricsServer.Sample
    private var phase = Phase.reading
    private var isAdmitted = false
    private var received: [UInt8] = []
    private var deadline: Scheduled<Void>?

    init(sessions: SessionRegister, limits: MetricsLimits, sample: @escaping MetricsServer.Sample) {
        self.sessions = sessions
        self.limits = limits
        self.sample = sample
    }

    func channelActive(context: ChannelHandlerContext) {
        isAdmitted = sessions.enter(context.channel, yields: true)
        guard isAdmitted else { return close(context) }
        limit(to: limits.requestSeconds, context)
        context.read()
    }

    func channelInactive(context: ChannelHandlerContext) {
        if isAdmitted { sessions.leave(context.channel) }
        phase = .closed
        deadline?.cancel()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard phase == .reading else { return }
        received.append(contentsOf: unwrapInboundIn(data).readableBytesView)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        switch phase {
        case .reading: takeRequest(context)
        case .ending: context.read()
        case .answering, .closed: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { close(context) }

    private func takeRequest(_ context: ChannelHandlerContext) {
        do {
            guard let request = try HTTPRequest.parse(received) else { return context.read() }
            received = []
            sessions.stay(context.channel)
            guard request.path == "/metrics" else { throw HTTPFailure.notFound }
            answer(request, context)
        } catch {
            reply((error as? HTTPFailure ?? .badRequest).reply.text(isHead: false), context)
        }
    }

    /// Counters are read, and the text is made, off the event loop.
    private func answer(_ request: HTTPRequest, _ context: ChannelHandlerContext) {
        phase = .answering
        let sample = sample
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        AnswerThreads.run(for: context.eventLoop) {
            var reply = HTTPReply("200 OK", sample().text(request.format))
            reply.mediaType = request.format.mediaType
            return reply.text(isHead: request.method == .head)
        }.whenSuccess { text in
            let (session, context) = bound.value
            guard session.phase == .answering else { return }
            session.reply(text, context)
        }
    }

    private func reply(_ text: String, _ context: ChannelHandlerContext) {
        phase = .ending
        limit(to: limits.replySeconds, context)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(context.channel.allocator.buffer(string: text))).whenComplete { result in
            let (session, context) = bound.value
            guard session.phase == .ending else { return }
            guard case .success = result else { return session.close(context) }
            context.close(mode: .output, promise: nil)
            context.read()
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
        phase = .closed
        context.close(promise: nil)
    }
}
