// SPDX-License-Identifier: GPL-3.0-or-later

package import ConnectionTracking
package import FirewallEngine
package import PacketWire

/// A packet of a capture, and the steps that the engine took with it.
package struct JudgedPacket: Sendable {
    package let headers: PacketHeaders
    package let direction: Direction
    /// When it was captured, in nanoseconds since 1970.
    package let time: Int64
    package let steps: [Step]
}
