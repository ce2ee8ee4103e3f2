// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallEngine
import FirewallPolicy
import Glibc

/// Records as messages of RFC 5424, framed as their transport has it.
///
/// The structured data are those that IANA has registered: `origin` names the program, and `meta` numbers the messages, so that a
/// gap shows what the way has lost. All that the event says stands in the message's text, in the output's format.
final class SyslogForm {
    /// What tells one message from the next on the wire.
    enum Framing {
        /// A datagram each.
        case none
        /// NUL behind each, which the target leaves out where it sends datagrams: both are usual on a Unix socket.
        case terminated
        /// Its length in front (RFC 6587 section 3.4.1, RFC 5425 section 4.3).
        case counted
    }

    var settings: SyslogSettings
    /// Reused from message to message.
    private var message: [UInt8] = []

    init(_ settings: SyslogSettings) { self.settings = settings }

    /// Appends one message. What is longer than it may be loses its packet bytes first, then the explanations, then its end.
    func append(_ fields: RecordFields, at place: RecordPlace, to text: inout [UInt8]) {
        make(fields, place)
        if message.count > limit, !fields.packetData.isEmpty { make(fields.shortened(.withoutPacket), place) }
        if message.count > limit { make(fields.shortened(.withoutTexts), place) }
        if message.count > limit { cut() }
        frame(&text)
    }

    private var limit: Int { Int(settings.messageSize) }

    private func make(_ fields: RecordFields, _ place: RecordPlace) {
        message.removeAll(keepingCapacity: true)
        appendHeader(fields, place)
        if settings.hasByteOrderMark { message += [0xef, 0xbb, 0xbf] }
        settings.format.append(fields, at: place, to: &message)
        // The line's end.
        message.removeLast()
    }

    /// At a whole character (RFC 5424 section 6.1).
    private func cut() {
        var end = limit
        while end > 0, message[end] & 0xc0 == 0x80 { end -= 1 }
        message.removeSubrange(end...)
    }

    private func frame(_ text: inout [UInt8]) {
        switch settings.target.framing {
        case .none: text += message
        case .terminated:
            text += message
            text.append(0)
        case .counted:
            text += String(message.count).utf8
            text.append(UInt8(ascii: " "))
            text += message
        }
    }

    private func appendHeader(_ fields: RecordFields, _ place: RecordPlace) {
        let severity = settings.severity ?? fields.syslogSeverity
        message.append(UInt8(ascii: "<"))
        message += String(settings.facility.rawValue * 8 + severity.rawValue).utf8
        message += ">1 ".utf8
        let time = CalendarTime(unixNanoseconds: fields.first).text
        // To the microseconds, as RFC 5424 has it at most.
        for index in 0..<26 { message.append(time[index]) }
        message += "Z ".utf8
        appendName(fields.host, atMost: 255)
        message += " \(settings.appName) \(SyslogForm.process) \(fields.event.reason.row.slug) ".utf8
        // 1 to 2147483647, then from 1 again (RFC 5424 section 7.3.1).
        let number = (place.sequence - 1) % 0x7fff_ffff + 1
        message += SyslogForm.origin
        message += "[meta sequenceId=\"\(number)\"] ".utf8
    }

    /// Printable ASCII, or the sign for nothing.
    private func appendName(_ name: String?, atMost limit: Int) {
        let bytes = (name ?? "").utf8.filter { 0x21...0x7e ~= $0 }.prefix(limit)
        message += bytes.isEmpty ? Array("-".utf8) : Array(bytes)
    }

    private static let process = getpid()
    private static let origin = Array("[origin software=\"Portreeve\" swVersion=\"\(Release.version)\"]".utf8)
}

extension SyslogTarget {
    var framing: SyslogForm.Framing {
        switch self {
        case .local: .terminated
        case .udp: .none
        case .tcp, .tls: .counted
        }
    }
}

extension RecordFields {
    /// What was refused or tells of a scan is a warning.
    fileprivate var syslogSeverity: SyslogSeverity {
        switch severity {
        case 5...: .warning
        case 1..<5: .notice
        default: .informational
        }
    }
}
