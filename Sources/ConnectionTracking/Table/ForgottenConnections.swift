// SPDX-License-Identifier: GPL-3.0-or-later

/// The connections whose time was over most recently. None of them admits anything: they tell why a packet that came later found
/// no connection, and whether a longer timeout would have kept it.
///
/// One place for each of so many hash values, and the last to be forgotten has it: so it costs a copy, never grows, and a flood
/// overwrites what it tells at worst.
struct ForgottenConnections: Sendable {
    private var places: [Connection?] = []
    static let capacity = 1024

    init() { places.reserveCapacity(ForgottenConnections.capacity) }

    mutating func keep(_ connection: Connection, hash: UInt32) {
        if places.isEmpty { places.append(contentsOf: repeatElement(nil, count: ForgottenConnections.capacity)) }
        places[Int(hash) & (ForgottenConnections.capacity - 1)] = connection
    }

    func find(_ key: ConnectionKey, hash: UInt32) -> Connection? {
        guard !places.isEmpty, let connection = places[Int(hash) & (ForgottenConnections.capacity - 1)],
            connection.key.isSame(as: key)
        else { return nil }
        return connection
    }
}

extension ConnectionTable {
    /// The connection of this key that was known until its timeout, as it was then; nil where none is remembered, or where
    /// it was a refused one.
    public mutating func forgotten(_ key: ConnectionKey) -> Connection? {
        forgottenConnections.find(key, hash: key.hash(seed: seed))
    }

    /// Takes one for a connection whose time is over, which another table has forgotten.
    public mutating func assumeForgotten(_ connection: Connection) {
        forgottenConnections.keep(connection, hash: connection.key.hash(seed: seed))
    }

    /// Removes a connection whose time is over.
    mutating func forget(_ index: ConnectionIndex) {
        if entries[Int(index)].stage != .refused {
            forgottenConnections.keep(entries[Int(index)].connection, hash: entries[Int(index)].hash)
        }
        remove(index, as: .idle)
    }
}
