// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// By what options the SYNs of a connection were authenticated: in the lower half of the byte that of the connection which has
/// the windows, in the upper half that of the opening which is under way. None seen is 0.
struct TCPAuthenticationSeen: Equatable, Sendable, BitwiseCopyable {
    var rawValue: UInt8 = 0

    /// The first bit stands for a segment without such an option.
    private static func bits(_ s: TCPFields) -> UInt8 { s.authentication.isEmpty ? 1 : s.authentication.rawValue & 6 }

    /// Whether there is nothing to compare: no segment had such an option.
    @inline(__always)
    func isPlain(_ s: TCPFields) -> Bool { rawValue & 0x66 | s.authentication.rawValue == 0 }

    mutating func note(syn s: TCPFields, isFirst: Bool) {
        rawValue = rawValue & (isFirst ? 0x0f : 0xff) | Self.bits(s) << 4
    }

    /// The opening under way has the windows now.
    mutating func complete() { rawValue = rawValue >> 4 | rawValue & 0xf0 }

    func allows(_ s: TCPFields, byOpening: Bool, byWindows: Bool) -> Bool {
        if s.authentication.contains(.unreadable) { return false }
        let allowed = (byOpening ? rawValue >> 4 : 0) | (byWindows ? rawValue & 0x0f : 0)
        return allowed == 0 || Self.bits(s) & ~allowed == 0
    }
}

/// The MD5 signature and the authentication option (RFC 2385, 5925). A connection has one of them from its SYN on, or none: a
/// receiver drops the segment that has what its SYN had not, or lacks it, without a word. Otherwise who knows that an
/// observer does not look at them ends or moves on a connection for him alone.
extension TCPTracker {
    /// The step of a segment that its receiver ignores for that; nil: it does not. It changes nothing, whatever the row says.
    ///
    /// Of a connection that was taken over it is not known, unless nobody can read what the segment has.
    static func ignored(_ state: TCPState, _ s: TCPFields, from side: Side, _ posture: AntiEvasion) -> TCPStep? {
        let mayBeOfOpening = state.handshake.isUnderWay && !endsWindows(state, s, from: side)
        return ignored(state, s, posture, mayBeOfOpening: mayBeOfOpening)
    }

    /// The same of a segment that the opening under way has not taken.
    static func ignoredByWindows(_ state: TCPState, _ s: TCPFields, _ posture: AntiEvasion) -> TCPStep? {
        guard state.windows == .known, !state.authentication.isPlain(s) else { return nil }
        return ignored(state, s, posture, mayBeOfOpening: false)
    }

    private static func ignored(
        _ state: TCPState, _ s: TCPFields, _ posture: AntiEvasion, mayBeOfOpening: Bool
    ) -> TCPStep? {
        let isKnown = state.windows == .none || state.windows == .known
        guard !isOpening(s), isKnown || s.authentication.contains(.unreadable),
            !state.authentication.allows(s, byOpening: mayBeOfOpening, byWindows: state.windows == .known)
        else { return nil }
        var step = TCPStep.judged(.tcpAuthOption, as: .invalidFlags, by: posture)
        step.isLate = true
        step.isIgnored = true
        return step
    }
}
