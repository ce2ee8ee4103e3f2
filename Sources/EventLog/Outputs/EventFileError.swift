// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// Why the event file cannot be written: what, where and the cure.
package struct EventFileError: Error, Hashable, Sendable, CustomStringConvertible {
    package enum Cause: Hashable, Sendable {
        /// The system call's `errno`.
        case cannotOpen(Int32)
        case cannotWrite(Int32)
        case cannotRotate(Int32)
        /// Neither a file, a FIFO nor a character device.
        case isDirectory
        case isOfUnknownKind
        /// Something else than a capture stands where one is to be written.
        case isNoCapture
        /// A FIFO that nobody has opened, or that its reader has closed.
        case hasNoReader
        /// The reader of a FIFO or device does not take what it is given.
        case readerDoesNotRead
    }

    package let path: String
    package let cause: Cause
    /// The section of the policy that names the file.
    package var section = "events.file"

    package init(path: String, cause: Cause) {
        self.path = path
        self.cause = cause
    }

    package var description: String {
        switch cause {
        case .cannotOpen(let code): "cannot open the event file \(path): \(message(code)); \(cure(code))"
        case .cannotWrite(let code): "cannot write the event file \(path): \(message(code)); \(cure(code))"
        case .cannotRotate(let code):
            "cannot rotate the event file \(path), which grows beyond \(sizeSetting): \(message(code)); let the "
                + "agent's user rename and remove files in \(directory), or have it rotated by others"
        case .isDirectory: "the event file \(path) is a directory; set \(section).path to a file in it"
        case .isOfUnknownKind:
            "the event file \(path) is neither a file, a FIFO nor a character device; set \(section).path to one"
        case .isNoCapture:
            "the file \(path) is there and no pcapng file of this host; remove it, or change \(section).path"
        case .hasNoReader: "nobody reads the FIFO \(path); start its reader, or set \(section).path to a file"
        case .readerDoesNotRead:
            "the reader of \(path) does not read; restart it, or set \(section).path to a file"
        }
    }

    private var sizeSetting: String { section == "events.file" ? "events.file.rotate.size" : "\(section).size" }

    private func cure(_ code: Int32) -> String {
        switch code {
        case EACCES, EPERM: "let the agent's user write in \(directory), or change \(section).path"
        case ENOENT, ENOTDIR: "create the directory \(directory), or change \(section).path"
        case EROFS: "mount its file system for writing, or change \(section).path"
        case ENOSPC, EDQUOT: "free space on its file system; events are kept in memory and merged meanwhile"
        case EFBIG: "rotate it, or raise the agent's limit on the size of files"
        case EMFILE, ENFILE: "raise the limit on open files"
        case EIO: "look at the kernel log for errors of its disk"
        default: "change \(section).path"
        }
    }

    private var directory: String {
        guard let slash = path.lastIndex(of: "/") else { return "the working directory" }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private func message(_ code: Int32) -> String {
        guard let text = unsafe strerror(code) else { return "error \(code)" }
        return unsafe String(cString: text)
    }
}
