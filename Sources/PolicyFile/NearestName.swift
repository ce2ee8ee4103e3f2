// SPDX-License-Identifier: GPL-3.0-or-later

/// The known name that a misspelt one most likely means: at most a third of its letters inserted, left out, replaced or
/// exchanged with their neighbour.
func nearest(to name: String, among known: some Sequence<String>) -> String? {
    let wanted = Array(name.lowercased().unicodeScalars.prefix(65))
    guard !wanted.isEmpty, wanted.count <= 64 else { return nil }
    var best: (name: String, distance: Int)?
    for candidate in known {
        let letters = Array(candidate.lowercased().unicodeScalars)
        let allowed = max(1, max(wanted.count, letters.count) / 3)
        guard abs(letters.count - wanted.count) <= allowed else { continue }
        let distance = editDistance(wanted, letters)
        guard distance <= allowed, distance < max(wanted.count, letters.count), distance < best?.distance ?? .max
        else { continue }
        best = (candidate, distance)
    }
    return best?.name
}

/// Optimal string alignment: Levenshtein's distance with exchange of neighbours as one step.
private func editDistance(_ a: [Unicode.Scalar], _ b: [Unicode.Scalar]) -> Int {
    var twoBack = [Int](repeating: 0, count: b.count + 1)
    var previous = Array(0...b.count)
    var current = twoBack
    for i in a.indices {
        current[0] = i + 1
        for j in b.indices {
            var distance = min(previous[j + 1] + 1, current[j] + 1, previous[j] + (a[i] == b[j] ? 0 : 1))
            if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { distance = min(distance, twoBack[j - 1] + 1) }
            current[j + 1] = distance
        }
        swap(&twoBack, &previous)
        swap(&previous, &current)
    }
    return previous[b.count]
}

/// "did you mean …" for the nearest known name.
package func meant(_ name: String, among known: some Sequence<String>) -> String? {
    nearest(to: name, among: known).map { "did you mean \(quoted($0))?" }
}

/// "a, b and c".
func enumeration(_ names: [String]) -> String {
    guard let last = names.last, names.count > 1 else { return names.first ?? "" }
    return names.dropLast().joined(separator: ", ") + " and " + last
}

/// "a, b or c".
package func alternatives(_ names: [String]) -> String {
    guard let last = names.last, names.count > 1 else { return names.first ?? "" }
    return names.dropLast().joined(separator: ", ") + " or " + last
}
