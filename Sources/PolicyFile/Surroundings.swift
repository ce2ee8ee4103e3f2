// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy

/// What a policy asks of the host while it is read. Tests and the fuzzer give their own.
package struct Surroundings: Sendable {
    /// The bytes of a list file, or of the services.
    package var read: @Sendable (_ path: String) throws(FileFault) -> [UInt8]
    /// Whether the host knows rules for this time zone (an IANA name).
    package var knowsTimeZone: @Sendable (_ name: String) -> Bool

    /// Where the host has its names of ports (services(5)).
    static let services = "/etc/services"

    package init(
        read: @escaping @Sendable (_ path: String) throws(FileFault) -> [UInt8],
        knowsTimeZone: @escaping @Sendable (_ name: String) -> Bool
    ) {
        self.read = read
        self.knowsTimeZone = knowsTimeZone
    }

    /// This host. List files may be 64 MiB long: three million addresses.
    package static let host = Surroundings(
        read: { path throws(FileFault) in try readFile(path, atMost: 64 << 20) },
        knowsTimeZone: { name in
            guard let path = TimeZoneName.named(name).zoneinfoPath else { return false }
            guard let bytes = try? readFile(path, atMost: 1 << 20) else { return false }
            return (try? TimeZoneRules(tzif: bytes)) != nil
        })
}

extension Surroundings {
    /// This host, with each list file that is read added to the copy.
    static func host(copyingTo copy: PolicyCopyWriter?) -> Surroundings {
        guard let copy else { return .host }
        var surroundings = host
        let read = host.read
        surroundings.read = { path throws(FileFault) in
            let bytes = try read(path)
            copy.add(.list, path, bytes)
            return bytes
        }
        return surroundings
    }
}

/// Why a file could not be read.
package struct FileFault: Error {
    /// In words that follow the file's name: "No such file or directory".
    package var reason: String
    package init(_ reason: String) { self.reason = reason }
}

/// What the policy is for: it decides which fields a packet can have.
package enum PolicyUse: Sendable {
    /// Packets of the kernel's queues: with `queue.family: ip` no destination MAC, a source MAC only on incoming packets, no
    /// frames but IP.
    case queue
    /// Frames of a capture, with all that stands in them.
    case replay
}
