// SPDX-License-Identifier: GPL-3.0-or-later

/// Why the agent cannot start or go on: one or more lines, each with the place, what is wrong and the cure.
package struct AgentError: Error, CustomStringConvertible {
    package let description: String
    /// It was started too often in vain, and is not to be started again by itself.
    package let givesUp: Bool
    package init(_ description: String, givesUp: Bool = false) {
        self.description = description
        self.givesUp = givesUp
    }
}
