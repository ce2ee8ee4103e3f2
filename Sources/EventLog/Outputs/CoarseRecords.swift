// SPDX-License-Identifier: GPL-3.0-or-later

/// Records that became coarser because an output's budget was spent: one per reason, action and direction (and per rule, for the
/// first rules that come), which says what is true of all of them.
struct CoarseRecords {
    private var merged = MergedEvents()
    /// Parallel to the summaries: the first of each, with the times of all.
    private var fields: [RecordFields] = []

    var isEmpty: Bool { fields.isEmpty }

    mutating func add(_ record: RecordFields) {
        let place = merged.merge(record.summary)
        if place == fields.count {
            fields.append(record)
        } else {
            fields[place].widen(to: record)
        }
    }

    /// Gives out all of them.
    mutating func take() -> [RecordFields] {
        defer {
            merged.removeAll()
            fields = []
        }
        return zip(fields, merged.summaries).map { $0.coarse($1) }
    }
}
