// SPDX-License-Identifier: GPL-3.0-or-later

import CFastPath
package import Glibc

/// How the array of programs comes to the agent. It has no name while an agent holds it, so that the kernel empties it when the agent
/// ends, however that comes; a name is given to it for the moment of the hand-over only.
extension FastPathPins {
    /// Where the array waits for an agent. The agent may take names away here, and nowhere else.
    static func handOver(_ directory: String) -> String { "\(directory)/hand-over" }
    static func offered(_ directory: String) -> String { "\(handOver(directory))/programs" }

    /// Gives the array a name for the agent that is next, or that runs already, to take. Takes the rights of root. Nothing is done where
    /// there is no fast path. Members of `group` may take it; nil is that of the directory.
    package static func offer(_ directory: String, to group: gid_t? = nil) throws(FastPathError) {
        let stub = unsafe cfastpath_open("\(directory)/\(FastPathMaps.Name.fast4.rawValue)")
        if stub == -ENOENT { return }
        guard stub >= 0 else { throw FastPathError("\(directory)", errno: -stub) }
        defer { close(stub) }
        let programs = cfastpath_programs_of(stub)
        guard programs >= 0 else { throw FastPathError("\(directory): the array of programs", errno: -programs) }
        defer { close(programs) }
        if unsafe mkdir(handOver(directory), 0o700) != 0, errno != EEXIST {
            throw FastPathError(handOver(directory), errno: errno)
        }
        let group = group ?? self.group(of: directory)
        let status = unsafe cfastpath_pin(programs, offered(directory))
        guard status == 0 || status == EEXIST else { throw FastPathError(offered(directory), errno: status) }
        for (path, mode) in [(offered(directory), 0o660), (handOver(directory), 0o770)] {
            // An agent may have taken it meanwhile.
            guard (unsafe chown(path, .max, group) == 0 && chmod(path, mode_t(mode)) == 0) || errno == ENOENT else {
                throw FastPathError("\(path): its group cannot be set", errno: errno)
            }
        }
    }

    /// Takes the array that was offered, and its name away: nobody but the caller holds it then. Root needs no offer.
    ///
    /// - Returns: a descriptor, which the caller closes.
    static func takeOver(_ directory: String) throws(FastPathError) -> Int32 {
        let offered = unsafe cfastpath_open(offered(directory))
        guard offered >= 0 else { return try takeAsRoot(directory) }
        guard unsafe unlink(self.offered(directory)) == 0 else {
            let error = errno
            close(offered)
            throw FastPathError("\(self.offered(directory)): its name cannot be taken away", errno: error)
        }
        return offered
    }

    /// Takes a name away that somebody has given to an array which the agent holds already.
    package static func declineOffer(_ directory: String) { unsafe unlink(offered(directory)) }

    private static func group(of directory: String) -> gid_t {
        var status = stat()
        return unsafe stat(directory, &status) == 0 ? status.st_gid : 0
    }

    private static func takeAsRoot(_ directory: String) throws(FastPathError) -> Int32 {
        let stub = unsafe cfastpath_open("\(directory)/\(FastPathMaps.Name.fast4.rawValue)")
        defer { if stub >= 0 { close(stub) } }
        let programs = stub >= 0 ? cfastpath_programs_of(stub) : stub
        guard programs >= 0 else {
            throw FastPathError(
                "\(directory): its programs are offered to nobody; \"portreeve iptables --apply\" offers them, as does the start of the "
                    + "service")
        }
        return programs
    }
}
