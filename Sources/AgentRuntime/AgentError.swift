// SPDX-License-Identifier: GPL-3.0-or-later

/// Why the agent cannot start or go on: one or more lines, each with the place, what is wrong and the cure.
package struct AgentError: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}
