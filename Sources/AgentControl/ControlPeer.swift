// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc
import NIOCore

/// Who is at the other end of the control socket, as the kernel says (unix(7), SO_PEERCRED).
package struct ControlPeer: Hashable, Sendable {
    package var userID: UInt32
    package var processID: Int32

    package init(userID: UInt32, processID: Int32) {
        self.userID = userID
        self.processID = processID
    }
}

extension ControlPeer {
    /// nil where the kernel does not say. To be called on the channel's event loop, where the answer is there at once.
    static func of(_ channel: any Channel, _ body: @escaping @Sendable (ControlPeer?) -> Void) {
        guard let provider = channel as? any SocketOptionProvider else { return body(nil) }
        let credentials: EventLoopFuture<Credentials> = provider.unsafeGetSocketOption(
            level: .socket, name: .init(rawValue: SO_PEERCRED))
        credentials.whenComplete { result in
            body((try? result.get()).map { ControlPeer(userID: $0.user, processID: $0.process) })
        }
    }
}

/// `struct ucred` of the kernel.
private struct Credentials: Sendable {
    var process: Int32
    var user: UInt32
    var group: UInt32
}
