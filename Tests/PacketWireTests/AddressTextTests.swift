// SPDX-License-Identifier: GPL-3.0-or-later

import PacketWire
import TestSupport
import Testing

@Suite("Address text")
struct AddressTextTests {
    @Test(
        "an address is read and printed in its one canonical form",
        arguments: [
            ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("192.0.2.10", "192.0.2.10"),
            ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("2001:DB8::A", "2001:db8::a"),
            ("2001:0db8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1"),
            ("2001:db8:0:0:1:0:0:0", "2001:db8:0:0:1::"), ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
            ("0:0:3:4:5:6:0:0", "::3:4:5:6:0:0"), ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
            ("::13.1.68.3", "::d01:4403"), ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
            ("fe80::1:2:3:4", "fe80::1:2:3:4"),
            (
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
                "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
            ),
        ])
    func canonicalForm(text: String, canonical: String) throws {
        let address = try #require(IPAddress(parsing: text))
        #expect(address.description == canonical)
        #expect(IPAddress(parsing: canonical) == address)
        #expect(IPAddress(parsing: text[...]) == address)
    }

    @Test(
        "text that is not exactly one address is refused",
        arguments: [
            "", ".", ":", ":::", "1", "1.2.3", "1.2.3.", ".1.2.3", "1.2.3.4.", "1.2.3.4.5", "01.2.3.4", "1.2.3.00",
            "256.1.1.1", "1.2.3.999", "1..2.3", "0x1.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.-4", "+1.2.3.4",
            "1.2.3.4/8",
            "١.2.3.4", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8",
            "1::2:3:4:5:6:7:8", "12345::", "g::", ":1::", "1:", "::1:", "1:::2", "fe80::1%eth0", "[::1]", "::1/128",
            "::1.2.3", "::1.2.3.04", "1.2.3.4::", "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", "::ffff:1.2.3.4.5",
            "1:2:3:4:5:1.2.3.4", "0000:0000:0000:0000:0000:ffff:192.168.100.2281",
        ])
    func refused(text: String) {
        #expect(IPAddress(parsing: text) == nil)
    }

    @Test("a mapped address prints as the family that it came in")
    func mappedAddress() throws {
        let address = try #require(IPAddress(parsing: "::ffff:192.0.2.1"))
        #expect(address == IPAddress(v4: 0xc000_0201))
        #expect(address == IPAddress(parsing: "192.0.2.1"))
        #expect(address.description(isIPv6: true) == "::ffff:192.0.2.1")
        #expect(address.description(isIPv6: false) == "192.0.2.1")
        #expect(address.description == "192.0.2.1")
    }

    @Test("every address survives printing and reading", arguments: [0x706f_7274 as UInt64])
    func roundTrip(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        for _ in 0..<2_000 {
            // Zero groups are likely, so that runs of every place and length come up.
            var address = IPAddress(high: random.next(), low: random.next())
            let holes = random.next()
            for group in 0..<8 where holes >> UInt64(group) & 1 == 1 {
                let mask = ~(0xffff << (UInt64(group % 4) * 16)) as UInt64
                if group < 4 { address.high &= mask } else { address.low &= mask }
            }
            #expect(IPAddress(parsing: address.description(isIPv6: true)) == address, "seed \(seed)")
        }
    }

    @Test("a MAC address is read with colons or hyphens and printed with colons")
    func macAddress() throws {
        let address = try #require(MACAddress(parsing: "52:54:00:AA:00:fe"))
        #expect(address.bits == 0x5254_00aa_00fe)
        #expect(address.description == "52:54:00:aa:00:fe")
        #expect(MACAddress(parsing: "52-54-00-aa-00-fe") == address)
    }

    @Test(
        "text that is not exactly one MAC address is refused",
        arguments: [
            "", "52:54:00:aa:00", "52:54:00:aa:00:f", "52:54:00:aa:00:fe:", "52:54:00:aa:00-fe", "525400aa00fe",
            "52:54:00:aa:00:fg", "5254.00aa.00fe", "::::::52:54:00:aa", "52:54:00:aa:0:0fe",
        ])
    func refusedMAC(text: String) {
        #expect(MACAddress(parsing: text) == nil)
    }
}
