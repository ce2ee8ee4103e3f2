// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy
package import PacketWire

/// How one output is, and where its events are.
package struct OutputReport: Sendable {
    package let name: String
    package let format: EventFormat
    /// Where it sends to: a path, or a receiver.
    package let target: String
    /// Why lines wait: what, where and the cure; `nil` while they are taken.
    package let trouble: String?
    /// What is wrong although lines are taken: what, where and the cure.
    package let warning: String?
    /// Events that became part of a coarser record because the output's budget was spent.
    package let coarse: UInt64
    /// Of the pending events: those that wait on disk, over a restart too.
    package let spooled: UInt64
    /// When it is tried again, on the writer's clock; `nil` without trouble.
    package let nextAttempt: Instant?
    package let accounting: EventAccounting

    /// The first thing that is wrong.
    package var complaint: String? { trouble ?? warning }

    init(_ output: EventOutput, _ state: OutputState, received: EventTally) {
        name = output.name
        format = state.format
        target = state.target
        trouble = state.trouble?.description
        warning = state.warning
        coarse = state.coarse
        spooled = state.spooled
        nextAttempt = state.nextAttempt
        accounting = EventAccounting(
            received: received.subtracting(output.receivedBefore).subtracting(output.spared), written: state.written,
            lost: state.lost,
            records: state.records)
    }
}
