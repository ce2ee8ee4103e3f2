// SPDX-License-Identifier: GPL-3.0-or-later

/// How captures are often kept: the first bytes of such a file, and what decompresses it. gzip is read by zlib here; for the others there
/// are Debian's programs.
enum Compression: CaseIterable {
    case gzip
    case xz
    case zstd
    case bzip2
    case lz4

    static let mostMagicBytes = 6

    init?(_ bytes: some Collection<UInt8>) {
        guard let found = Self.allCases.first(where: { bytes.starts(with: $0.magic) }) else { return nil }
        self = found
    }

    private var magic: [UInt8] {
        switch self {
        case .gzip: [0x1f, 0x8b]
        case .xz: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]
        case .zstd: [0x28, 0xb5, 0x2f, 0xfd]
        case .bzip2: [0x42, 0x5a, 0x68]
        case .lz4: [0x04, 0x22, 0x4d, 0x18]
        }
    }

    /// Takes `-dc` for from standard input to standard output.
    var program: String {
        switch self {
        case .gzip: "gzip"
        case .xz: "xz"
        case .zstd: "zstd"
        case .bzip2: "bzip2"
        case .lz4: "lz4"
        }
    }

    /// The Debian package of the program.
    var package: String { self == .xz ? "xz-utils" : program }
}
