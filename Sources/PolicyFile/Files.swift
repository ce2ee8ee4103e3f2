// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// The bytes of a regular file.
package func readFile(_ path: String, atMost limit: Int) throws(FileFault) -> [UInt8] {
    let (descriptor, size) = try openFile(path)
    defer { close(descriptor) }
    guard size <= limit else { throw FileFault("longer than \(limit >> 20) MiB") }
    return try readToEnd(descriptor, size: size, atMost: limit)
}

/// A regular file to read, and how many bytes it has. The caller closes it.
func openFile(_ path: String) throws(FileFault) -> (descriptor: Int32, size: Int) {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw FileFault(errno: errno) }
    var status = stat()
    var fault: FileFault?
    if unsafe fstat(descriptor, &status) != 0 {
        fault = FileFault(errno: errno)
    } else if status.st_mode & S_IFMT == S_IFDIR {
        fault = FileFault(errno: EISDIR)
    } else if status.st_mode & S_IFMT != S_IFREG {
        fault = FileFault("not a regular file")
    }
    if let fault {
        close(descriptor)
        throw fault
    }
    return (descriptor, Int(status.st_size))
}

/// Reads until the end, which may lie beyond `size` when the file grows meanwhile.
private func readToEnd(_ descriptor: Int32, size: Int, atMost limit: Int) throws(FileFault) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: size + 1)
    var filled = 0
    while true {
        let count = unsafe bytes.withUnsafeMutableBytes { buffer in
            unsafe read(descriptor, buffer.baseAddress?.advanced(by: filled), buffer.count - filled)
        }
        if count < 0, errno == EINTR { continue }
        guard count >= 0 else { throw FileFault(errno: errno) }
        filled += count
        guard filled <= limit else { throw FileFault("longer than \(limit >> 20) MiB") }
        if count == 0 { break }
        if filled == bytes.count { bytes += [UInt8](repeating: 0, count: bytes.count) }
    }
    bytes.removeSubrange(filled...)
    return bytes
}

/// The names in a directory, in byte order; nil where there is no such directory.
func namesInDirectory(_ path: String) throws(FileFault) -> [String]? {
    guard let directory = unsafe opendir(path) else {
        if errno == ENOENT { return nil }
        throw FileFault(errno: errno)
    }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    while let entry = unsafe readdir(directory) {
        let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
}

extension FileFault {
    /// In the C library's words.
    init(errno code: Int32) {
        self.init(unsafe String(cString: strerror(code)))
    }
}
