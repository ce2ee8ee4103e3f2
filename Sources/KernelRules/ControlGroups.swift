// SPDX-License-Identifier: GPL-3.0-or-later

import Glibc

/// The control groups of units (cgroups(7), the unified hierarchy): a unit that runs has one of its name.
package struct ControlGroups {
    /// Where the hierarchy is mounted; nil: nowhere.
    private let root: String?

    /// So deep, and so many, are looked through for a unit that is not where units are by themselves.
    private static let mostDepth = 8
    private static let mostGroups = 20_000

    package init() {
        // mountinfo(5): fields up to " - ", then the kind of file system; the fifth is the mount point.
        root =
            ProcFile.text("/proc/self/mountinfo").split(separator: "\n").lazy.compactMap { line -> String? in
                let halves = line.split(separator: " ")
                guard let dash = halves.firstIndex(of: "-"), halves.indices.contains(dash + 1),
                    halves[dash + 1] == "cgroup2",
                    halves.count > 4
                else { return nil }
                return String(halves[4])
            }.first
    }

    /// Where the control groups of these units are, without a leading slash; a unit that does not run has none.
    package func paths(of units: [String]) -> [String: String] {
        var found: [String: String] = [:]
        for unit in units {
            let usual = Self.usualPath(of: unit)
            if exists(usual) { found[unit] = usual }
        }
        let rest = Set(units).subtracting(found.keys)
        if !rest.isEmpty { search(rest, into: &found) }
        return found
    }

    package func exists(_ path: String) -> Bool { number(of: path) != nil }

    /// The kernel's number of a group, which no other one has until the next boot.
    package func number(of path: String) -> UInt64? {
        guard let root else { return nil }
        var info = stat()
        guard unsafe stat("\(root)/\(path)", &info) == 0, info.st_mode & S_IFMT == S_IFDIR else { return nil }
        return UInt64(info.st_ino)
    }

    /// A slice is in those whose names it begins with (systemd.slice(5)); services are in the system's, where nothing else is said.
    private static func usualPath(of unit: String) -> String {
        let suffix = ".slice"
        guard unit.hasSuffix(suffix) else { return "system.slice/\(unit)" }
        let words = unit.dropLast(suffix.count).split(separator: "-", omittingEmptySubsequences: false)
        return (1...max(1, words.count)).map { words.prefix($0).joined(separator: "-") + suffix }.joined(separator: "/")
    }

    /// What users run for themselves, or containers, may have the name of a unit of the system's, and is none.
    private func search(_ wanted: Set<String>, into found: inout [String: String]) {
        var (open, looked) = ([(path: "", depth: 0)], 0)
        while let (path, depth) = open.popLast(), looked < Self.mostGroups {
            looked += 1
            for name in children(of: path) {
                let child = path.isEmpty ? name : "\(path)/\(name)"
                if wanted.contains(name), found[name] == nil { found[name] = child }
                // Units lie in slices. What a unit has inside, a container's too, may bear any name.
                if depth + 1 < Self.mostDepth, name.hasSuffix(".slice") { open.append((child, depth + 1)) }
            }
        }
    }

    /// The unit of each control group by its number: of those inside a unit, that unit.
    package func unitsByNumber() -> [UInt64: String] {
        var units: [UInt64: String] = [:]
        var open: [(path: String, unit: String?, depth: Int)] = [("", nil, 0)]
        while let (path, unit, depth) = open.popLast(), units.count < Self.mostGroups {
            for name in children(of: path) {
                let child = path.isEmpty ? name : "\(path)/\(name)"
                let isUnit = [".service", ".scope", ".slice"].contains(where: name.hasSuffix)
                // The outermost that is no slice: what a user or a container runs inside may call itself anything.
                let isInside = unit.map { !$0.hasSuffix(".slice") } ?? false
                let its = isUnit && !isInside ? name : unit
                if let its, let number = number(of: child) { units[number] = its }
                if depth + 1 < Self.mostDepth { open.append((child, its, depth + 1)) }
            }
        }
        return units
    }

    private func children(of path: String) -> [String] {
        guard let root, let directory = unsafe opendir("\(root)/\(path)") else { return [] }
        defer { unsafe closedir(directory) }
        var names: [String] = []
        while let entry = unsafe readdir(directory) {
            guard unsafe entry.pointee.d_type == UInt8(DT_DIR) else { continue }
            let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }
}
