// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallEngine
package import FirewallPolicy

/// Which events are wanted. All criteria that are set must hold.
package struct EventQuery: Sendable {
    /// One of these; empty: any.
    package var reasons: Set<DropReason> = []
    /// Source or destination is within.
    package var addresses: AddressRange?
    /// The deciding rule's name, exactly.
    package var rule: String?
    /// As in the record: "deny", "tap:deny" …
    package var action: String?
    /// Microseconds since 1970, inclusive. A folded record counts if any part of it lies between.
    package var since: Int64?
    package var until: Int64?

    package init() {}

    package func matches(_ event: LoggedEvent) -> Bool {
        if !reasons.isEmpty && !reasons.contains(event.reason) { return false }
        if let rule, event.rule != rule { return false }
        if let action, event.action != action { return false }
        if let since, event.last < since { return false }
        if let until, event.first > until { return false }
        guard let addresses else { return true }
        return [event.source, event.destination].contains { endpoint in
            guard let address = endpoint?.address else { return false }
            return addresses.first <= address && address <= addresses.last
        }
    }
}

extension DropReason {
    /// A reason by its slug or its number, as users write it.
    package init?(slugOrNumber text: String) {
        guard let reason = DropReason(slug: text) ?? UInt16(text).flatMap(DropReason.init(number:)) else { return nil }
        self = reason
    }
}
