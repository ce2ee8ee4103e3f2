// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// When an output that took nothing is tried again: after pauses that grow from one failure to the next.
struct RetryPause {
    private var pause = Instant.Span.zero
    private(set) var nextAttempt: Instant?

    static let shortest = Instant.Span.milliseconds(50)
    static let longest = Instant.Span.seconds(5)

    /// A clock that was set back does not prolong a pause.
    func isOver(at now: Instant) -> Bool {
        guard let nextAttempt else { return true }
        return now >= nextAttempt || nextAttempt - now > RetryPause.longest
    }

    mutating func end() { self = RetryPause() }

    /// Where something was taken before the failure, the pauses begin anew: a reader that is slow, or reads again, is not
    /// kept waiting.
    mutating func noteFailure(at now: Instant, progressed: Bool) {
        let longer = progressed ? .zero : Instant.Span(nanoseconds: pause.nanoseconds * 2)
        pause = min(max(longer, RetryPause.shortest), RetryPause.longest)
        nextAttempt = now + pause
    }
}
