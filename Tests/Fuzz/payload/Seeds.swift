// SPDX-License-Identifier: GPL-3.0-or-later

import Foundation

/// Writes conversations into the folder that the first argument names.
@main
enum Seeds {
    static func main() throws {
        let folder = URL(fileURLWithPath: CommandLine.arguments[1])
        let passive = client("PASV\r\n") + server("227 Entering Passive Mode (192,0,2,10,200,13)\r\n")
        let conversations = [
            "active": client("PORT 198,51,100,7,200,13\r\n") + server("200 ok\r\n"),
            "split": client("PORT 198,51,") + client("100,7,200,13\r\nNOOP\r\n"),
            "extended": client("EPRT |1|198.51.100.7|51213|\r\n"), "passive": passive,
            "extended-passive": client("EPSV\r\n") + server("229 Entering (|||40001|)\r\n"),
            "protected": client("AUTH TLS\r\n") + server("234 go\r\n") + client("PORT 1\r\n"),
            "long-reply": server("220-a\r\n227 (1,2,3,4,5,6)\r\n220 b\r\n") + passive,
            "again": client("0123456789") + client("0123456789", ahead: -10),
        ]
        for (name, bytes) in conversations { try Data(bytes).write(to: folder.appendingPathComponent(name)) }
    }

    private static func client(_ text: String, ahead: Int8 = 0) -> [UInt8] { segment(text, 0, ahead) }
    private static func server(_ text: String) -> [UInt8] { segment(text, 0x80, 0) }

    private static func segment(_ text: String, _ side: UInt8, _ ahead: Int8) -> [UInt8] {
        [side | UInt8(text.utf8.count), UInt8(bitPattern: ahead), 0, 0] + Array(text.utf8)
    }
}
