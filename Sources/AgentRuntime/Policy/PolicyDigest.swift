// SPDX-License-Identifier: GPL-3.0-or-later

import COpenSSL
import FirewallPolicy
import PolicyFile

/// What tells whether two hosts have the same policy in force.
enum PolicyDigest {
    /// SHA-256 of what `portreeve check --print` prints of it, in hexadecimal: the same whatever the files are called, how they are laid
    /// out, or which comments are in them. Of a list in a file it knows the path alone: lists change by themselves.
    static func text(of document: PolicyDocument) -> String {
        var digest = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
        var canonical = PolicyFile.canonical(document, complete: false)
        canonical.withUTF8 { bytes in _ = unsafe SHA256(bytes.baseAddress, bytes.count, &digest) }
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
