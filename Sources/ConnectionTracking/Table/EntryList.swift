// SPDX-License-Identifier: GPL-3.0-or-later

/// The two ends of a doubly linked list through a table's entries, oldest first; -1 where there is none.
struct EntryList: BitwiseCopyable {
    var oldest: Int32 = -1
    var newest: Int32 = -1
}
