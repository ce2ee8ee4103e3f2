// SPDX-License-Identifier: GPL-3.0-or-later

package import PacketWire

/// How one output is, and where its events are.
package struct OutputReport: Sendable {
    package let name: String
    package let format: EventFormat
    /// Where it sends to: a path.
    package let target: String
    /// Why lines wait: what, where and the cure; `nil` while they are taken.
    package let trouble: String?
    /// When it is tried again, on the writer's clock; `nil` without trouble.
    package let nextAttempt: Instant?
    package let accounting: EventAccounting

    init(_ output: EventOutput, _ state: OutputState, received: EventTally) {
        name = output.name
        format = state.format
        target = state.target
        trouble = state.trouble?.description
        nextAttempt = state.nextAttempt
        accounting = EventAccounting(
            received: received.subtracting(output.receivedBefore), written: state.written, lost: state.lost,
            records: state.records)
    }
}
