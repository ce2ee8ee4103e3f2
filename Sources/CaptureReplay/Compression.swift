// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// How captures are often kept: the first bytes of such a file, and what decompresses it.
enum Compression: CaseIterable {
    case gzip
    case xz
    case zstd
    case lz4

    /// Nil for a file of another kind, and for what is no plain file.
    init?(ofFile path: String) {
        var kind = stat()
        guard unsafe stat(path, &kind) == 0, kind.st_mode & S_IFMT == S_IFREG else { return nil }
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 4)
        guard unsafe read(descriptor, &bytes, bytes.count) == bytes.count else { return nil }
        guard let found = Self.allCases.first(where: { bytes.starts(with: $0.magic) }) else { return nil }
        self = found
    }

    private var magic: [UInt8] {
        switch self {
        case .gzip: [0x1f, 0x8b]
        case .xz: [0xfd, 0x37, 0x7a, 0x58]
        case .zstd: [0x28, 0xb5, 0x2f, 0xfd]
        case .lz4: [0x04, 0x22, 0x4d, 0x18]
        }
    }

    var program: String {
        switch self {
        case .gzip: "zcat"
        case .xz: "xzcat"
        case .zstd: "zstdcat"
        case .lz4: "lz4cat"
        }
    }
}
