// SPDX-License-Identifier: GPL-3.0-or-later

package import FirewallPolicy

/// One place that events go to, and the form in which they go there.
package struct OutputSettings: Hashable, Sendable {
    package enum Target: Hashable, Sendable {
        /// A regular file, a FIFO or a character device.
        case file(path: String)
    }

    /// Tells outputs apart, also over a reload: what has another name is another output.
    package var name: String
    package var format: EventFormat
    package var target: Target

    package init(name: String, format: EventFormat, target: Target) {
        self.name = name
        self.format = format
        self.target = target
    }
}

extension EventSettings {
    /// The outputs that a policy asks for.
    package var outputs: [OutputSettings] {
        [OutputSettings(name: "file", format: .json, target: .file(path: path))]
    }
}
