// SPDX-License-Identifier: GPL-3.0-or-later

package import Glibc

/// A group of this host.
package struct GroupID {
    package let rawValue: gid_t

    /// nil where there is none of this name.
    package init?(named name: String) {
        var entry = unsafe group()
        var found: UnsafeMutablePointer<group>?
        var text = [CChar](repeating: 0, count: 1 << 16)
        guard unsafe getgrnam_r(name, &entry, &text, text.count, &found) == 0, unsafe found != nil else { return nil }
        rawValue = unsafe entry.gr_gid
    }
}
