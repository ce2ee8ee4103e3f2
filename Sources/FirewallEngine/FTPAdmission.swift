// SPDX-License-Identifier: GPL-3.0-or-later

import ConnectionTracking
import FirewallPolicy

/// `stateful.ftp` as the packet path reads it.
struct FTPAdmission: BitwiseCopyable {
    private var ports = InlineArray<16, UInt16>(repeating: 0)
    private var portCount = 0
    private let active: PerDirection<Bool>
    private let passive: PerDirection<Bool>
    /// Whether control connections are read at all.
    let isOn: Bool

    /// - Parameters:
    ///   - settings: those of the policy.
    ///   - isTracked: whether TCP connections are tracked; without that nothing is admitted beside the rules.
    init(_ settings: FTPSettings, isTracked: Bool) {
        for port in settings.controlPorts.prefix(ports.count) {
            ports[portCount] = port
            portCount += 1
        }
        active = PerDirection { $0 == .incoming ? settings.admitsIncomingActive : settings.admitsOutgoingActive }
        passive = PerDirection { $0 == .incoming ? settings.admitsIncomingPassive : settings.admitsOutgoingPassive }
        let admits = active.incoming || active.outgoing || passive.incoming || passive.outgoing
        isOn = isTracked && admits && portCount > 0
    }

    func isControl(_ port: UInt16) -> Bool {
        for i in 0..<portCount where ports[i] == port { return true }
        return false
    }

    /// Whether data connections of active or passive transfers are admitted, of control connections opened in this direction.
    func admitsActive(_ direction: Direction) -> Bool { active[direction] }
    func admitsPassive(_ direction: Direction) -> Bool { passive[direction] }
}
