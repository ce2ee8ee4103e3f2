// SPDX-License-Identifier: GPL-3.0-or-later

internal import CPathShim
internal import Glibc

/// A system call's errno value.
package struct SystemFault: Error, Hashable, Sendable {
    package var number: Int32
    package init(_ number: Int32) { self.number = number }

    /// The symbol of errno(3), which tests and scripts compare; "E123" for one without a name here.
    package var name: String { Self.names[number] ?? "E\(number)" }

    private static let names: [Int32: String] = [
        EPERM: "EPERM", ENOENT: "ENOENT", EINTR: "EINTR", EIO: "EIO", EBADF: "EBADF", EAGAIN: "EAGAIN",
        ENOMEM: "ENOMEM",
        EACCES: "EACCES", EFAULT: "EFAULT", EINVAL: "EINVAL", ENFILE: "ENFILE", EMFILE: "EMFILE", EPIPE: "EPIPE",
        ENODEV: "ENODEV", ENOSYS: "ENOSYS", EPROTO: "EPROTO", EMSGSIZE: "EMSGSIZE", EDESTADDRREQ: "EDESTADDRREQ",
        EPROTOTYPE: "EPROTOTYPE", ENOPROTOOPT: "ENOPROTOOPT", EPROTONOSUPPORT: "EPROTONOSUPPORT",
        EOPNOTSUPP: "EOPNOTSUPP", EAFNOSUPPORT: "EAFNOSUPPORT", EADDRINUSE: "EADDRINUSE",
        EADDRNOTAVAIL: "EADDRNOTAVAIL", ENETDOWN: "ENETDOWN", ENETUNREACH: "ENETUNREACH", ENETRESET: "ENETRESET",
        ECONNABORTED: "ECONNABORTED", ECONNRESET: "ECONNRESET", ENOBUFS: "ENOBUFS", EISCONN: "EISCONN",
        ENOTCONN: "ENOTCONN", ETIMEDOUT: "ETIMEDOUT", ECONNREFUSED: "ECONNREFUSED", EHOSTDOWN: "EHOSTDOWN",
        EHOSTUNREACH: "EHOSTUNREACH", EALREADY: "EALREADY", EINPROGRESS: "EINPROGRESS",
    ]
}

extension SystemFault: CustomStringConvertible {
    /// The C library's words for it.
    package var description: String {
        var buffer = [CChar](repeating: 0, count: 128)
        guard unsafe strerror_r(number, &buffer, buffer.count) == 0 else { return name }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// The result of a call of the shim, which gives negative errno values.
@discardableResult
func checked(_ result: Int32) throws(SystemFault) -> Int32 {
    guard result >= 0 else { throw SystemFault(-result) }
    return result
}

/// A pipe: what is written to the one end is read from the other. No program that is started inherits it.
package func makePipe() throws(SystemFault) -> (reading: Int32, writing: Int32) {
    var ends: [Int32] = [-1, -1]
    try checked(unsafe path_pipe(&ends))
    return (ends[0], ends[1])
}
