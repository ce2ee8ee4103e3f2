// SPDX-License-Identifier: GPL-3.0-or-later

import CFastPath
package import ConnectionTracking
import PacketWire

/// Changes for the kernel's hashes of flows, gathered so that one system call carries many.
///
/// They are carried out in their order where that matters: a key that is put and removed again is removed.
package struct FastPathBatch {
    struct Puts4 {
        var keys: [fastpath_key4] = []
        var places: [fastpath_reference] = []
    }

    struct Puts6 {
        var keys: [fastpath_key6] = []
        var places: [fastpath_reference] = []
    }

    private var puts4 = Puts4()
    private var puts6 = Puts6()
    private var removed4: [fastpath_key4] = []
    private var removed6: [fastpath_key6] = []
    private var putKeys: [ConnectionKey] = []

    package init() {}

    /// Carries them out; `refused` is called for each flow for which the kernel has no room.
    package mutating func carryOut(
        _ changes: [FastPathChange], in maps: FastPathMaps, refused: (ConnectionKey) -> Void
    ) {
        var isPutting = true
        for change in changes {
            switch change {
            case .put(let key, let place, let generation):
                if !isPutting { flush(maps, refused) }
                isPutting = true
                putKeys.append(key)
                let reference = fastpath_reference(place: place, generation: generation)
                if key.version == 6 {
                    puts6.keys.append(fastpath_key6(key))
                    puts6.places.append(reference)
                } else {
                    puts4.keys.append(fastpath_key4(key))
                    puts4.places.append(reference)
                }
            case .remove(let key):
                if isPutting { flush(maps, refused) }
                isPutting = false
                if key.version == 6 { removed6.append(fastpath_key6(key)) } else { removed4.append(fastpath_key4(key)) }
            }
        }
        flush(maps, refused)
    }

    private mutating func flush(_ maps: FastPathMaps, _ refused: (ConnectionKey) -> Void) {
        if !removed4.isEmpty { maps.remove(removed4) }
        if !removed6.isEmpty { maps.remove(removed6) }
        let (done4, done6) = (maps.put(puts4), maps.put(puts6))
        if done4 < puts4.keys.count { putKeys.filter { $0.version != 6 }.dropFirst(done4).forEach(refused) }
        if done6 < puts6.keys.count { putKeys.filter { $0.version == 6 }.dropFirst(done6).forEach(refused) }
        removed4.removeAll(keepingCapacity: true)
        removed6.removeAll(keepingCapacity: true)
        puts4.keys.removeAll(keepingCapacity: true)
        puts4.places.removeAll(keepingCapacity: true)
        puts6.keys.removeAll(keepingCapacity: true)
        puts6.places.removeAll(keepingCapacity: true)
        putKeys.removeAll(keepingCapacity: true)
    }
}

extension fastpath_key4 {
    fileprivate init(_ key: ConnectionKey) {
        self.init(
            low_address: key.lowAddress.v4.bigEndian, high_address: key.highAddress.v4.bigEndian,
            low_port: key.lowPortOrIdentifier.bigEndian, high_port: key.highPortOrIdentifier.bigEndian,
            protocol: UInt32(key.protocolNumber))
    }
}

extension fastpath_key6 {
    fileprivate init(_ key: ConnectionKey) {
        self.init(
            low_address: Self.words(key.lowAddress), high_address: Self.words(key.highAddress),
            low_port: key.lowPortOrIdentifier.bigEndian, high_port: key.highPortOrIdentifier.bigEndian,
            protocol: UInt32(key.protocolNumber))
    }

    private static func words(_ a: IPAddress) -> (UInt32, UInt32, UInt32, UInt32) {
        (
            UInt32(truncatingIfNeeded: a.high >> 32).bigEndian, UInt32(truncatingIfNeeded: a.high).bigEndian,
            UInt32(truncatingIfNeeded: a.low >> 32).bigEndian, UInt32(truncatingIfNeeded: a.low).bigEndian
        )
    }
}
