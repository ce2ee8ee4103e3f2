// SPDX-License-Identifier: GPL-3.0-or-later

/// What the kernel was given for a receiver and nobody has confirmed: it stays in the backlog, and is sent again over the next
/// connection.
struct InFlight {
    /// A piece that is confirmed once `end` is reached: a count of the connection's bytes, or a time.
    private struct Piece {
        let end: Int64
        let length: Int
    }

    private var pieces: [Piece] = []
    private var confirmed = 0
    /// Of all pieces.
    private(set) var bytes = 0

    var isEmpty: Bool { confirmed == pieces.count }
    var count: Int { pieces.count - confirmed }

    mutating func add(_ length: Int, confirmedAt end: Int64) {
        pieces.append(Piece(end: end, length: length))
        bytes += length
    }

    /// Takes out what is confirmed.
    ///
    /// - Returns: its bytes.
    mutating func confirm(upTo reached: Int64) -> Int {
        var length = 0
        while confirmed < pieces.count, pieces[confirmed].end <= reached {
            length += pieces[confirmed].length
            confirmed += 1
        }
        bytes -= length
        if isEmpty {
            pieces.removeAll(keepingCapacity: true)
            confirmed = 0
        } else if confirmed > 1024 {
            pieces.removeFirst(confirmed)
            confirmed = 0
        }
        return length
    }
}
