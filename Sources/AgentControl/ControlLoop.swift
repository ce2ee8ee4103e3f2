// SPDX-License-Identifier: GPL-3.0-or-later

import NIOPosix

/// The one thread that serves all control sockets of the process, and its requests to others. It is never shut down: an
/// answer that comes after `ControlServer.stop` finds its loop alive.
enum ControlLoop {
    static let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
}
