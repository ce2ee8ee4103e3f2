// SPDX-License-Identifier: GPL-3.0-or-later

import NIOCore
import NIOEmbedded
import Testing

@testable import AgentControl

@Suite("A session of the control socket")
struct ControlSessionTests {
    /// A channel whose writes are complete at once, as for a client that reads as fast as the agent writes.
    private func connected() throws -> EmbeddedChannel {
        let session = ControlSession(sessions: SessionRegister(limit: 1), limits: ControlLimits()) { _, _ in .reopened }
        let channel = EmbeddedChannel(handler: session)
        try channel.connect(to: SocketAddress(unixDomainSocketPath: "/client")).wait()
        return channel
    }

    @Test("As many requests as fit into one piece are refused one by one, on a stack that does not grow with them")
    func many() throws {
        let channel = try connected()
        try channel.writeInbound(ByteBuffer(repeating: UInt8(ascii: "\n"), count: ControlProtocol.requestLimit))
        channel.embeddedEventLoop.run()
        var replies = 0
        while try channel.readOutbound(as: ByteBuffer.self) != nil { replies += 1 }
        #expect(replies == ControlProtocol.requestLimit)
        #expect(channel.isActive)
        _ = try channel.finish()
    }
}
