// SPDX-License-Identifier: GPL-3.0-or-later

import CFastPath
package import Glibc

/// The directory in which the program and its maps have their names: the top of a file system of the type bpf, made for them.
///
/// Whoever restores the rules makes it, as root. The agent opens the maps by their names, as a member of their group: it needs no
/// capability for that, and may be running already. The stubs that rules name are root's alone.
package enum FastPathPins {
    /// More flows than this take the queue. Each has some 300 bytes of the kernel's memory.
    package static let defaultFlows = 65_536

    /// Makes the directory, mounts what belongs there, and loads and pins the program, as far as that was not done before with the
    /// same object file.
    ///
    /// - Parameters:
    ///   - directory: where.
    ///   - program: the object file.
    ///   - group: whose members may use the maps.
    ///   - flows: how many there is room for, where the maps are made anew.
    /// - Throws: `FastPathError`: what could not be done.
    package static func prepare(
        _ directory: String, program: String, group: gid_t, flows: Int = defaultFlows
    ) throws(FastPathError) {
        if unsafe mkdir(directory, 0o750) != 0, errno != EEXIST { throw FastPathError(directory, errno: errno) }
        if unsafe cfastpath_is_bpf(directory) == 0 {
            let status = unsafe cfastpath_mount(directory)
            guard status == 0 else {
                throw FastPathError("\(directory): a file system of the type bpf cannot be mounted", errno: status)
            }
        }
        if !isWhole(directory, program) {
            remove(directory)
            try FastPathMaps(loading: program, flows: flows).pin(in: directory)
        }
        try offer(directory, to: group)
        try share(directory, with: group)
    }

    /// Takes the names away, and the directory, as far as it may. The rules that name them have to be gone.
    package static func withdraw(_ directory: String) {
        guard unsafe cfastpath_is_bpf(directory) != 0 else { return }
        remove(directory)
        unsafe umount2(directory, Int32(MNT_DETACH))
        unsafe rmdir(directory)
    }

    private static func remove(_ directory: String) {
        for name in FastPathMaps.Name.allCases { unsafe unlink("\(directory)/\(name.rawValue)") }
        unsafe unlink(offered(directory))
        unsafe rmdir(handOver(directory))
    }

    /// Whether all of it is there, of this object file. What another version has left would be misread.
    private static func isWhole(_ directory: String, _ program: String) -> Bool {
        guard FastPathMaps.Name.allCases.allSatisfy({ unsafe access("\(directory)/\($0.rawValue)", F_OK) == 0 }),
            let wanted = FastPathLabel(ofFile: program)
        else { return false }
        let places = unsafe cfastpath_open("\(directory)/\(FastPathMaps.Name.places.rawValue)")
        guard places >= 0 else { return false }
        defer { close(places) }
        return FastPathLabel(of: places) == wanted
    }

    /// The directory comes last: an agent that looks meanwhile finds it closed, or all of it open.
    private static func share(_ directory: String, with group: gid_t) throws(FastPathError) {
        let objects = FastPathMaps.Name.allCases.filter { !$0.isStub }.map { "\(directory)/\($0.rawValue)" }
        for (path, mode) in objects.map({ ($0, 0o660) }) + [(directory, 0o750)] {
            guard unsafe chown(path, .max, group) == 0, unsafe chmod(path, mode_t(mode)) == 0 else {
                throw FastPathError("\(path): its group cannot be set", errno: errno)
            }
        }
    }
}
