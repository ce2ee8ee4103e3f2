// SPDX-License-Identifier: GPL-3.0-or-later

import AgentControl
import Glibc

/// The tracepoint skb:kfree_skb, read through an instance of tracefs that is this program's alone and ends with it.
final class KernelTrace {
    /// Why it cannot be read, in words for an administrator.
    struct Refusal: Error { let text: String }

    private let instance: String
    private let pipe: CInt
    private var rest: [UInt8] = []

    private static let mounts = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"]

    /// Begins to record packets of this EtherType that are thrown away.
    init(etherType: UInt16) throws(Refusal) {
        guard let mount = Self.mounts.first(where: { unsafe access("\($0)/instances", F_OK) == 0 }) else {
            throw Refusal(text: Self.absence)
        }
        instance = "\(mount)/instances/portreeve-\(getpid())"
        guard unsafe mkdir(instance, 0o700) == 0 else { throw Self.refusal(of: "\(mount)/instances", errno) }
        let event = "\(instance)/events/skb/kfree_skb"
        let path = "\(instance)/trace_pipe"
        pipe = unsafe open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        // From here on `deinit` removes what was made.
        guard pipe >= 0 else { throw Self.refusal(of: path, errno) }
        try Self.write("protocol == \(etherType)", to: "\(event)/filter")
        try Self.write("1", to: "\(event)/enable")
    }

    deinit {
        try? Self.write("0", to: "\(instance)/events/skb/kfree_skb/enable")
        if pipe >= 0 { close(pipe) }
        _ = unsafe rmdir(instance)
    }

    /// What was thrown away since the last call.
    func drops() -> [KernelDrop] {
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = unsafe chunk.withUnsafeMutableBytes { unsafe read(pipe, $0.baseAddress, $0.count) }
            guard count > 0 else { break }
            rest += chunk[..<count]
        }
        guard let end = rest.lastIndex(of: UInt8(ascii: "\n")) else { return [] }
        let lines = String(decoding: rest[...end], as: UTF8.self).split(separator: "\n")
        rest.removeSubrange(...end)
        return lines.compactMap { KernelDrop(String($0)) }
    }

    private static let absence =
        "tracefs is not to be seen at /sys/kernel/tracing: run this as root, and where it is not mounted \"mount -t tracefs "
        + "tracefs /sys/kernel/tracing\""

    private static func refusal(of path: String, _ code: CInt) -> Refusal {
        switch code {
        case EACCES, EPERM: Refusal(text: "tracing is not allowed (\(path)): run this as root, outside of a container")
        case ENOENT: Refusal(text: "this kernel does not offer the tracepoint skb:kfree_skb (\(path))")
        default: Refusal(text: "\(path): \(SystemError.text(code))")
        }
    }

    private static func write(_ text: String, to path: String) throws(Refusal) {
        let file = unsafe open(path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { throw refusal(of: path, errno) }
        defer { close(file) }
        let bytes = Array(text.utf8)
        guard unsafe Glibc.write(file, bytes, bytes.count) == bytes.count else { throw refusal(of: path, errno) }
    }
}
