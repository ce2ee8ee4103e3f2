// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import Testing

@Suite("Interfaces")
struct InterfaceTests {
    @Test(
        "Names match globs",
        arguments: [
            ("eth0", "eth0", true), ("eth0", "eth00", false), ("eth0", "eth", false), ("eth*", "eth", true),
            ("eth*", "eth0.100", true), ("*", "", true), ("*", "anything", true), ("eth?", "eth0", true),
            ("eth?", "eth", false), ("eth?", "eth10", false), ("eth[0-3]", "eth3", true), ("eth[0-3]", "eth4", false),
            ("eth[!0-3]", "eth4", true), ("eth[^0-3]", "eth0", false), ("eth[!0-3]", "eth", false),
            ("[ew]*0", "wg0", true), ("[]x]1", "]1", true), ("[!]x]1", "]1", false), ("[a-]1", "-1", true),
            ("eth[", "eth[", true), ("eth[0", "eth0", false), ("\\*", "*", true), ("\\*", "x", false),
            ("a*b*c", "abbbc", true), ("a*b*c", "abbbd", false), ("*-lan", "br-lan-lan", true),
            ("", "", true), ("", "x", false), ("é?", "éa", true),
        ])
    func globs(pattern: String, name: String, matches: Bool) throws {
        var sketch = PolicySketch()
        sketch.rule(.deny) { $0.interfaces = Criterion([pattern]) }
        #expect(try sketch.policy().traits(ofInterface: name).patterns == (matches ? 1 : 0))
    }

    @Test("A pattern of many stars takes no exponential time")
    func manyStars() throws {
        var sketch = PolicySketch()
        sketch.rule(.deny) { $0.interfaces = Criterion([String(repeating: "*a", count: 200) + "b"]) }
        #expect(try sketch.policy().traits(ofInterface: String(repeating: "a", count: 2_000)).patterns == 0)
    }

    @Test("Ignored and inside interfaces are told by name or glob")
    func ignoredAndInside() throws {
        var sketch = PolicySketch()
        sketch.document.interfaces.ignore = ["lo", "docker*"]
        sketch.document.interfaces.inside = ["br-lan"]
        let policy = try sketch.policy()
        #expect(policy.traits(ofInterface: "lo") == InterfaceTraits(isIgnored: true))
        #expect(policy.traits(ofInterface: "docker0") == InterfaceTraits(isIgnored: true))
        #expect(policy.traits(ofInterface: "br-lan") == InterfaceTraits(isInside: true))
        #expect(policy.traits(ofInterface: "eth0") == InterfaceTraits())
    }
}
