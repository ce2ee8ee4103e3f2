// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy

/// One place that events go to, and the form in which they go there.
package struct OutputSettings: Hashable, Sendable {
    package enum Target: Hashable, Sendable {
        /// A regular file, a FIFO or a character device. Only a regular file has an end.
        case file(path: String, rotation: EventRotation = EventRotation(size: nil))
    }

    /// Tells outputs apart, also over a reload: what has another name is another output.
    package var name: String
    package var format: EventFormat
    package var target: Target
    /// nil is without a bound.
    package var budget: EventBudget?

    package init(name: String, format: EventFormat, target: Target, budget: EventBudget? = nil) {
        self.name = name
        self.format = format
        self.target = target
        self.budget = budget
    }
}

extension EventSettings {
    /// The outputs that a policy asks for.
    package var outputs: [OutputSettings] {
        [
            OutputSettings(
                name: "file", format: format, target: .file(path: path, rotation: rotation), budget: budget)
        ]
    }
}
