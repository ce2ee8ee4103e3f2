// SPDX-License-Identifier: GPL-3.0-or-later

import CFrameShim
import Glibc

/// The frames of one EtherType that the kernel discards before any hook.
package struct FrameSocket: Sendable {
    package enum Family: CaseIterable, Sendable {
        case ipv4, ipv6

        package var etherType: UInt16 { self == .ipv4 ? 0x0800 : 0x86dd }
        /// Under which the service manager keeps the socket.
        package var name: String { self == .ipv4 ? "frames-ipv4" : "frames-ipv6" }
        fileprivate var program: [cframe_instruction] { self == .ipv4 ? DiscardFilter.ipv4 : DiscardFilter.ipv6 }
    }

    /// A frame as it was received, from its network header on.
    package struct Frame {
        package let interface: UInt32
        package let etherType: UInt16
        /// Six bytes in the lower part, as they go over the link; nil where it has no such addresses.
        package let source: UInt64?
        /// Bytes of the frame, and how many of them there are in the buffer.
        package let length: UInt32
        package let copied: Int
    }

    package let family: Family
    package let descriptor: Int32

    /// Opens it, which takes CAP_NET_RAW.
    ///
    /// - Throws: errno.
    package init(opening family: Family) throws(SystemErrorNumber) {
        let program = family.program
        let result = unsafe cframe_open(family.etherType, program, program.count)
        guard result >= 0 else { throw SystemErrorNumber(-result) }
        self.family = family
        descriptor = result
    }

    /// Takes over one that somebody else has opened; nil if it is none, or not locked to a program.
    package init?(_ family: Family, takingOver descriptor: Int32) {
        guard cframe_is_one(descriptor, family.etherType) != 0 else { return nil }
        self.family = family
        self.descriptor = descriptor
    }

    /// The next frame that waits, into the buffer; nil where none does.
    package func next(_ buffer: inout [UInt8]) -> Frame? {
        var info = cframe_info()
        while true {
            let count = unsafe cframe_receive(descriptor, &buffer, buffer.count, &info)
            // An interface that went down is told once, as an error.
            if count == -Int(ENETDOWN) { continue }
            guard count >= 0 else { return nil }
            return Frame(
                interface: info.interface, etherType: info.ethertype,
                source: info.source_length == 6 ? info.sourceAddress : nil, length: info.length, copied: count)
        }
    }

    /// Frames for which the socket had no room, since this was asked last.
    package func lost() -> UInt64 { UInt64(cframe_lost(descriptor)) }

    /// Waits until any of them has a frame, or `waker` something to read.
    package static func await(_ sockets: [FrameSocket], waker: Int32) {
        let descriptors = sockets.map(\.descriptor) + [waker]
        unsafe cframe_wait(descriptors, descriptors.count)
    }
}

/// An errno value.
package struct SystemErrorNumber: Error, CustomStringConvertible {
    package let number: Int32
    init(_ number: Int32) { self.number = number }
    package var description: String { unsafe String(cString: strerror(number)) }
}

extension cframe_info {
    fileprivate var sourceAddress: UInt64 {
        [source.0, source.1, source.2, source.3, source.4, source.5].reduce(0) { $0 << 8 | UInt64($1) }
    }
}
