// SPDX-License-Identifier: GPL-3.0-or-later

import Foundation
import Testing

@testable import FirewallEngine

@Suite("The release")
struct ReleaseTests {
    @Test("The newest entry of the package's changelog is of the version that the programs show")
    func changelog() throws {
        let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let changelog = try String(
            contentsOf: repository.appending(path: "Packaging/debian/changelog"), encoding: .utf8)
        #expect(changelog.hasPrefix("portreeve (\(Release.version)) "))
    }
}
