// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire

/// Where a data connection is to go.
struct FTPEndpoint: Equatable {
    var address: IPAddress
    var port: UInt16
}

/// What a client of FTP says in one line, as far as data connections depend on it.
enum FTPCommand: Equatable {
    /// PORT (RFC 959 section 4.1.2) or EPRT (RFC 2428 section 2); nil: malformed.
    case port(FTPEndpoint?)
    /// PASV and EPSV (RFC 2428 section 3).
    case passive
    case extendedPassive
    /// AUTH (RFC 2228 section 3).
    case authenticate
    case other

    init(_ line: Span<UInt8>) {
        let end = line.firstIndex(after: 0) { $0 == FTPText.space || $0 == FTPText.tab }
        let argument = line.extracting(
            line.firstIndex(after: end) { $0 != FTPText.space && $0 != FTPText.tab }..<line.count)
        switch line.extracting(0..<end).verb {
        case 0x504f_5254: self = .port(FTPText.sixNumbers(argument, from: 0, mustEnd: true))
        case 0x4550_5254: self = .port(FTPText.extendedEndpoint(argument))
        case 0x5041_5356: self = .passive
        case 0x4550_5356: self = .extendedPassive
        case 0x4155_5448: self = .authenticate
        default: self = .other
        }
    }
}

extension FTPCommand {
    /// Whether a client of FTP may begin with this line: commands have three or four letters, and none is one of HTTP's.
    static func mayBegin(_ line: Span<UInt8>) -> Bool {
        let end = line.firstIndex(after: 0) { $0 == FTPText.space || $0 == FTPText.tab }
        guard end == 3 || end == 4 else { return false }
        var word: UInt32 = 0
        for i in 0..<end {
            let letter = line[i] & ~0x20
            guard letter >= 65, letter <= 90 else { return false }
            word = word << 8 | UInt32(letter)
        }
        return word != 0x47_4554 && word != 0x50_5554 && word != 0x4845_4144 && word != 0x504f_5354
    }
}

/// What a server answers in one line (RFC 959 section 4.2).
struct FTPReply: Equatable {
    /// 0 where the line begins with none.
    var code: UInt16 = 0
    /// Lines of the same reply follow, up to one that begins with the same code and a blank.
    var isContinued = false

    init(_ line: Span<UInt8>) {
        guard line.count >= 3 else { return }
        var number: UInt16 = 0
        for i in 0..<3 {
            guard let digit = FTPText.digit(line[i]) else { return }
            number = number * 10 + UInt16(digit)
        }
        guard line.count == 3 || line[3] == FTPText.space || line[3] == FTPText.hyphen else { return }
        code = number
        isContinued = line.count > 3 && line[3] == FTPText.hyphen
    }
}

/// The numbers in commands and replies.
enum FTPText {
    static let space: UInt8 = 32
    static let tab: UInt8 = 9
    static let hyphen: UInt8 = 45
    private static let comma: UInt8 = 44
    private static let open: UInt8 = 40

    static func digit(_ byte: UInt8) -> UInt8? { byte >= 48 && byte <= 57 ? byte - 48 : nil }

    /// The endpoint that a 227 names anywhere in its text: servers put it in brackets, or do not (RFC 1123 section 4.1.2.6).
    static func passiveEndpoint(_ line: Span<UInt8>) -> FTPEndpoint? {
        var place = min(4, line.count)
        while place < line.count {
            if digit(line[place]) != nil {
                if let endpoint = sixNumbers(line, from: place, mustEnd: false) { return endpoint }
                place = line.firstIndex(after: place) { digit($0) == nil && $0 != comma }
            } else {
                place += 1
            }
        }
        return nil
    }

    /// The port that a 229 names: `(|||port|)`, with any delimiter (RFC 2428 section 3).
    static func extendedPassivePort(_ line: Span<UInt8>) -> UInt16? {
        var place = min(4, line.count)
        while place < line.count {
            place = line.firstIndex(after: place) { $0 == open } + 1
            guard place + 3 < line.count else { return nil }
            let delimiter = line[place]
            guard isDelimiter(delimiter), line[place + 1] == delimiter, line[place + 2] == delimiter else { continue }
            let end = line.firstIndex(after: place + 3) { $0 == delimiter }
            if end < line.count, let port = port(line.extracting(place + 3..<end)) { return port }
        }
        return nil
    }

    /// `h1,h2,h3,h4,p1,p2`.
    static func sixNumbers(_ text: Span<UInt8>, from start: Int, mustEnd: Bool) -> FTPEndpoint? {
        var bits: UInt64 = 0
        var place = start
        for number in 0..<6 {
            if number > 0 {
                guard place < text.count, text[place] == comma else { return nil }
                place += 1
            }
            let end = text.firstIndex(after: place) { digit($0) == nil }
            guard let octet = decimal(text.extracting(place..<end), most: 255, digits: 3) else { return nil }
            bits = bits << 8 | UInt64(octet)
            place = end
        }
        guard place == text.count || !mustEnd && text[place] != comma else { return nil }
        return FTPEndpoint(
            address: IPAddress(v4: UInt32(truncatingIfNeeded: bits >> 16)), port: UInt16(truncatingIfNeeded: bits))
    }

    /// `|1|address|port|`, with any delimiter (RFC 2428 section 2).
    static func extendedEndpoint(_ text: Span<UInt8>) -> FTPEndpoint? {
        guard text.count >= 3, isDelimiter(text[0]), text[2] == text[0] else { return nil }
        let delimiter = text[0]
        let addressEnd = text.firstIndex(after: 3) { $0 == delimiter }
        guard addressEnd < text.count else { return nil }
        let portEnd = text.firstIndex(after: addressEnd + 1) { $0 == delimiter }
        guard portEnd == text.count - 1, let port = port(text.extracting(addressEnd + 1..<portEnd)) else { return nil }
        let name = text.extracting(3..<addressEnd)
        let address =
            switch text[1] {
            case 49: IPAddress(parsingV4: name)
            case 50: IPAddress(parsingV6: name)
            default: nil as IPAddress?
            }
        return address.map { FTPEndpoint(address: $0, port: port) }
    }

    private static func isDelimiter(_ byte: UInt8) -> Bool { byte >= 33 && byte <= 126 && digit(byte) == nil }

    private static func port(_ text: Span<UInt8>) -> UInt16? {
        decimal(text, most: 65_535, digits: 5).map { UInt16($0) }
    }

    private static func decimal(_ text: Span<UInt8>, most: UInt32, digits: Int) -> UInt32? {
        guard text.count >= 1, text.count <= digits else { return nil }
        var value: UInt32 = 0
        for i in 0..<text.count {
            guard let digit = digit(text[i]) else { return nil }
            value = value * 10 + UInt32(digit)
        }
        return value <= most ? value : nil
    }
}

extension Span<UInt8> {
    /// The first index from `start` on whose byte is wanted; `count` where there is none.
    fileprivate func firstIndex(after start: Int, _ isWanted: (UInt8) -> Bool) -> Int {
        var place = start
        while place < count, !isWanted(self[place]) { place += 1 }
        return Swift.min(place, count)
    }

    /// The four letters of a command, in capitals; 0 for any other number of bytes.
    fileprivate var verb: UInt32 {
        guard count == 4 else { return 0 }
        var word: UInt32 = 0
        for i in 0..<4 {
            let byte = self[i]
            word = word << 8 | UInt32(byte >= 97 && byte <= 122 ? byte - 32 : byte)
        }
        return word
    }
}
