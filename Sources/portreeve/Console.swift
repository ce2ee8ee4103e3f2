// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import ArgumentParser
import EventReader
// The C library's `stdout` is a variable, which nobody changes.
@unsafe @preconcurrency import Glibc
import Synchronization

/// Says what went wrong on standard error; the value ends the program.
func fail(_ message: String, status: ExitStatus = .failed) -> ExitCode {
    complain(message)
    return status.exit
}

/// One message on standard error.
func complain(_ message: String) {
    flush()
    var bytes = Array((Palette.errors.paintGravity(of: message) + "\n").utf8)[...]
    while !bytes.isEmpty {
        let count = unsafe bytes.withUnsafeBytes { unsafe write(STDERR_FILENO, $0.baseAddress, $0.count) }
        guard count > 0 else { return }
        bytes = bytes.dropFirst(count)
    }
}

/// What `print` has collected goes out now.
func flush() {
    if unsafe fflush(stdout) != 0 { writeError.store(errno, ordering: .relaxed) }
}

/// Prints bytes as they are.
func printBytes(_ bytes: [UInt8]) {
    let count = unsafe bytes.withUnsafeBytes { unsafe fwrite($0.baseAddress, 1, $0.count, stdout) }
    if count < bytes.count { writeError.store(errno, ordering: .relaxed) }
}

/// The C library forgets text that it could not write, and why: the stream keeps a mark, no more.
private let writeError = Atomic<CInt>(0)

/// Why text that was printed did not arrive; nil when all of it did.
var outputError: String? {
    flush()
    let error = writeError.load(ordering: .relaxed)
    if error != 0 { return SystemError.text(error) }
    return unsafe ferror(stdout) == 0 ? nil : "not everything that was printed could be written"
}

/// Whether standard output goes to this file, which a shell has emptied for it: one in policy.d is then none of the policy yet.
func isOutput(_ path: String) -> Bool {
    var (here, there) = (stat(), stat())
    guard unsafe fstat(STDOUT_FILENO, &here) == 0, unsafe stat(path, &there) == 0 else { return false }
    return here.st_dev == there.st_dev && here.st_ino == there.st_ino && here.st_size == 0
}

/// Prints lines of sentences, broken between words where a terminal is narrower.
func printLines(_ lines: [String]) {
    for line in lines {
        let margin = line.prefix { $0 == " " }.count
        line.harmless.wrapped(to: terminalWidth, indent: margin + 2).forEach { print($0) }
    }
}

/// Columns of the terminal that standard output goes to; nil where it goes elsewhere.
var terminalWidth: Int? {
    var size = winsize()
    guard unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
    return Int(size.ws_col)
}

extension String {
    /// Without what could move a terminal's cursor or hide text: names and packets come from others.
    var harmless: String {
        var scalars = String.UnicodeScalarView()
        for scalar in unicodeScalars {
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: scalars.append("\u{fffd}")
            default: scalars.append(scalar)
            }
        }
        return String(scalars)
    }

    /// Broken between words so that no line is longer than so many columns; all but the first begin with `indent` spaces. A
    /// word that is longer, such as a path, stays whole.
    func wrapped(to width: Int?, indent: Int) -> [String] {
        guard let width, displayWidth > width else { return [self] }
        let margin = prefix { $0 == " " }
        var lines: [String] = []
        var line = String(margin)
        var isEmpty = true
        for word in dropFirst(margin.count).split(separator: " ", omittingEmptySubsequences: false) {
            if !isEmpty, line.displayWidth + 1 + String(word).displayWidth > width {
                lines.append(line.trimmed)
                line = String(repeating: " ", count: indent)
                isEmpty = true
            }
            line += (isEmpty ? "" : " ") + word
            isEmpty = false
        }
        return lines + [line.trimmed]
    }

    /// Without the spaces at its end.
    private var trimmed: String { String(reversed().drop { $0 == " " }.reversed()) }

    /// Filled with spaces at its end.
    func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }

    /// Filled with spaces at its beginning.
    func rightAligned(to width: Int) -> String { String(repeating: " ", count: max(0, width - count)) + self }
}

extension FixedWidthInteger {
    /// With commas between thousands: "1,234,567".
    var grouped: String {
        var text = ""
        for (index, digit) in String(magnitude).reversed().enumerated() {
            if index > 0 && index % 3 == 0 { text.append(",") }
            text.append(digit)
        }
        return (self < 0 ? "-" : "") + String(text.reversed())
    }
}
