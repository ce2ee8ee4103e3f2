// SPDX-License-Identifier: GPL-3.0-or-later

import FirewallPolicy
import PacketWire
import TestSupport
import Testing

@testable import FirewallEngine

@Suite("A source may come by each interface that a best route to it leaves by")
struct ReversePathsTests {
    private static func route(_ prefix: String, _ interface: UInt32, table: UInt32 = 254) throws -> ReversePaths.Route {
        let range = try #require(AddressRange(prefix: prefix))
        return ReversePaths.Route(table: table, first: range.first, last: range.last, interface: interface)
    }

    private func accepted(_ routes: [ReversePaths.Route], _ source: IPAddress) -> Set<UInt32> {
        let paths = ReversePaths(routes)
        return Set([1, 2, 3, 4].filter { !paths.contradicts(source, on: $0) })
    }

    @Test("The longest prefix decides, and what lies around it goes on after it")
    func nested() throws {
        let routes = try [
            Self.route("0.0.0.0/0", 1), Self.route("10.0.0.0/8", 2), Self.route("10.1.0.0/16", 3),
            Self.route("10.1.2.0/24", 4),
        ]
        for (source, interface): (IPAddress, UInt32) in [
            ("9.255.255.255", 1), ("10.0.0.0", 2), ("10.1.0.0", 3), ("10.1.1.255", 3), ("10.1.2.0", 4),
            ("10.1.2.255", 4), ("10.1.3.0", 3), ("10.2.0.0", 2), ("11.0.0.0", 1), ("255.255.255.255", 1),
        ] {
            #expect(accepted(routes, source) == [interface], "\(source)")
            #expect(accepted(routes.reversed(), source) == [interface], "\(source)")
        }
    }

    @Test("Several ways to one network, and one way in each table, are all possible")
    func several() throws {
        let routes = try [
            Self.route("10.0.0.0/8", 1), Self.route("10.0.0.0/8", 2), Self.route("10.1.0.0/16", 3),
            Self.route("0.0.0.0/0", 4, table: 100),
        ]
        #expect(accepted(routes, "10.2.0.1") == [1, 2, 4])
        #expect(accepted(routes, "10.1.0.1") == [3, 4])
    }

    @Test("Where no route leads, none by an interface that routes name is possible")
    func none() throws {
        let routes = try [Self.route("10.0.0.0/8", 1), Self.route("192.0.2.0/24", 2)]
        #expect(accepted(routes, "198.51.100.1") == [3, 4])
        #expect(accepted([], "198.51.100.1") == [1, 2, 3, 4])
    }

    @Test("IPv6's default route is none for IPv4, and the other way round")
    func families() throws {
        let routes = try [Self.route("::/0", 1), Self.route("0.0.0.0/0", 2), Self.route("fd00::/8", 3)]
        #expect(accepted(routes, "198.51.100.1") == [2, 4])
        #expect(accepted(routes, "2001:db9::1") == [1, 4])
        #expect(accepted(routes, "fd00::1") == [3, 4])
        #expect(accepted(routes, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") == [1, 4])
    }

    @Test("As a search through all routes says, for random ones")
    func random() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            let routes = try (0..<Int.random(in: 1...12, using: &random)).map { _ in
                let bits = Int.random(in: 0...8, using: &random)
                let address = UInt32.random(in: 0...255, using: &random)
                return try Self.route(
                    "10.0.0.\(address)/\(24 + bits)", UInt32.random(in: 1...4, using: &random),
                    table: UInt32.random(in: 1...2, using: &random))
            }
            for last in UInt32(0)...255 {
                let source = IPAddress(v4: 0x0a00_0000 | last)
                var wanted = Set<UInt32>([1, 2, 3, 4].filter { i in !routes.contains { $0.interface == i } })
                for table in UInt32(1)...2 {
                    let matching = routes.filter { $0.table == table && $0.first <= source && source <= $0.last }
                    guard let best = matching.map({ $0.last.low - $0.first.low }).min() else { continue }
                    wanted.formUnion(matching.filter { $0.last.low - $0.first.low == best }.map(\.interface))
                }
                #expect(accepted(routes, source) == wanted, "\(source): \(routes)")
            }
        }
    }
}
