// SPDX-License-Identifier: GPL-3.0-or-later

/// The three kinds of rule sets that ClassBench (Taylor and Turner, "ClassBench: A Packet Classification Benchmark", 2005)
/// tells apart, as distributions of prefix lengths, ports and protocols. The numbers are of the order of its seeds, not
/// taken from one.
package enum RuleSetShape: String, CaseIterable, Sendable {
    /// Access control lists: both addresses specific, hardly any source ports.
    case acl
    /// Firewalls: one address is often anything, ports of both sides, many ranges.
    case fw
    /// Linux IP chains: in between.
    case ipc

    /// A weight for each value of a field.
    typealias Weights<Value> = [(value: Value, weight: Int)]

    /// How a port criterion is chosen.
    enum Port { case any, well, high, range, exact }

    var sourceLengths: Weights<Int> {
        switch self {
        case .acl:
            [
                (0, 12), (8, 2), (16, 6), (20, 5), (21, 4), (22, 6), (23, 8), (24, 14), (27, 4), (28, 5), (30, 4),
                (32, 30),
            ]
        case .fw: [(0, 45), (8, 2), (16, 6), (21, 3), (22, 2), (24, 14), (26, 2), (28, 4), (30, 2), (32, 20)]
        case .ipc: [(0, 20), (8, 4), (14, 2), (16, 10), (19, 3), (22, 5), (24, 16), (25, 3), (28, 6), (32, 31)]
        }
    }

    var destinationLengths: Weights<Int> {
        switch self {
        case .acl:
            [
                (0, 3), (16, 4), (20, 3), (22, 4), (24, 14), (26, 6), (27, 7), (28, 8), (29, 4), (30, 5), (31, 2),
                (32, 40),
            ]
        case .fw: [(0, 35), (8, 1), (15, 2), (16, 6), (20, 2), (24, 16), (27, 3), (29, 3), (32, 32)]
        case .ipc: [(0, 18), (9, 2), (16, 8), (18, 3), (21, 4), (24, 18), (26, 4), (28, 5), (30, 3), (32, 35)]
        }
    }

    var sourcePorts: Weights<Port> {
        switch self {
        case .acl: [(.any, 99), (.exact, 1)]
        case .fw: [(.any, 62), (.high, 14), (.well, 3), (.range, 5), (.exact, 16)]
        case .ipc: [(.any, 80), (.high, 7), (.range, 3), (.exact, 10)]
        }
    }

    var destinationPorts: Weights<Port> {
        switch self {
        case .acl: [(.any, 28), (.high, 5), (.range, 12), (.exact, 55)]
        case .fw: [(.any, 27), (.high, 9), (.well, 3), (.range, 12), (.exact, 49)]
        case .ipc: [(.any, 38), (.high, 7), (.well, 1), (.range, 8), (.exact, 46)]
        }
    }

    /// nil is any.
    var protocols: Weights<UInt8?> {
        switch self {
        case .acl: [(6, 76), (17, 16), (1, 3), (nil, 5)]
        case .fw: [(6, 60), (17, 26), (1, 4), (47, 1), (nil, 9)]
        case .ipc: [(6, 64), (17, 22), (1, 4), (50, 1), (nil, 9)]
        }
    }
}
