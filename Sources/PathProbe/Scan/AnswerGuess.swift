// SPDX-License-Identifier: GPL-3.0-or-later

/// What probably sent bytes that were not expected, by how they begin. A guess, and shown as one.
enum AnswerGuess {
    static func name(_ bytes: [UInt8], asked: [UInt8], key: SecretKey?) -> String? {
        if !asked.isEmpty, bytes.starts(with: asked.prefix(bytes.count)) { return "an echo of the request" }
        if let payload = ProbePayload(unproven: bytes), let key {
            guard payload.isProven(by: bytes.prefix(payload.length), key) else { return "a changed or forged answer" }
            return payload.direction == .reply ? "an answer to another probe, repeated" : "an echo of another probe"
        }
        for (beginning, name) in beginnings where bytes.starts(with: beginning) { return name }
        let text = String(decoding: bytes.prefix(64), as: UTF8.self).lowercased()
        return text.contains("<html") || text.contains("<!doctype") ? "a web page" : nil
    }

    private static let beginnings: [([UInt8], String)] = [
        (Array("HTTP/".utf8), "an HTTP server or proxy"), (Array("220 ".utf8), "a mail or FTP server"),
        (Array("220-".utf8), "a mail or FTP server"), (Array("421 ".utf8), "a mail server that refuses"),
        (Array("554 ".utf8), "a mail server that refuses"), (Array("SSH-".utf8), "an SSH server"),
        ([0x15, 0x03], "a TLS alert"), ([0x16, 0x03], "a TLS server"), (Array("ICY ".utf8), "a streaming server"),
        (Array("+OK".utf8), "a POP3 server"), (Array("* OK".utf8), "an IMAP server"),
    ]
}
