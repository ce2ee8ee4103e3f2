// swift-tools-version: 6.2
// SPDX-License-Identifier: GPL-3.0-or-later

import PackageDescription

/// The same for every Swift target: a firewall keeps its traps, and `unsafe` is visible wherever it stands.
let house: [SwiftSetting] = [
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    // Lets the optimiser see through the arrows between targets: a packet of a known connection costs 0.7 of what it does
    // without (RESULTS.md). It sees `public` declarations only: Swift 6.3 never inlines `package` ones into another target.
    .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release)),
]

let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")

/// A product target and, beside it, its folder of tests.
func core(_ name: String, _ dependencies: [Target.Dependency] = [], testing more: [Target.Dependency] = []) -> [Target]
{
    [
        .target(name: name, dependencies: dependencies, swiftSettings: house),
        .testTarget(
            name: name + "Tests", dependencies: [.target(name: name), "TestSupport"] + more, swiftSettings: house),
    ]
}

let targets: [Target] =
    [
        .systemLibrary(
            name: "CNetfilterQueue", pkgConfig: "libnetfilter_queue",
            providers: [.apt(["libnetfilter-queue-dev", "libmnl-dev"])]),
        .systemLibrary(name: "CYAML", pkgConfig: "yaml-0.1", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "openssl", providers: [.apt(["libssl-dev"])]),
        // libnetfilter_queue.pc does not name libmnl, which the shim calls itself.
        .target(name: "CQueueShim", dependencies: ["CNetfilterQueue"], linkerSettings: [.linkedLibrary("mnl")]),
        .target(name: "CSyslogShim", dependencies: ["COpenSSL"]),
        .target(name: "Locking", swiftSettings: house),
        .target(
            name: "TestSupport", dependencies: ["FirewallPolicy", "ConnectionTracking", "PacketWire"],
            path: "Tests/TestSupport", swiftSettings: house),
        .target(name: "AllocationCounter", path: "Tests/AllocationCounter"),
    ]
    + core("PacketWire")
    + core("ConnectionTracking", ["CFastPath", "Locking", "PacketWire"])
    + core("FirewallPolicy", ["ConnectionTracking", "PacketWire"])
    + core(
        "FirewallEngine", ["FirewallPolicy", "ConnectionTracking", "PacketWire"],
        testing: ["FastPath", "PolicyAnalysis", "PolicyFile", "FirewallPolicy", "ConnectionTracking", "PacketWire"])
    + core(
        "EventLog", ["CSyslogShim", "Locking", "FirewallEngine", "FirewallPolicy", "ConnectionTracking", "PacketWire"],
        testing: ["FirewallEngine", "FirewallPolicy", "ConnectionTracking", "PacketWire"])
    + core("PolicyFile", ["CYAML", "FirewallEngine", "FirewallPolicy", "ConnectionTracking", "PacketWire"])
    + core(
        "AdministrativeSessions",
        ["PolicyFile", "FirewallEngine", "FirewallPolicy", "ConnectionTracking", "PacketWire"],
        testing: ["PolicyFile", "FirewallPolicy", "PacketWire"])
    + [.target(name: "CFrameShim")]
    + core("FrameGuard", ["CFrameShim"], testing: ["CFrameShim", "FirewallEngine", "PacketWire"])
    + core(
        "PolicyAnalysis",
        ["AgentControl", "PolicyFile", "FirewallEngine", "FirewallPolicy", "ConnectionTracking", "PacketWire"],
        testing: [
            "AnalysisProof", "AgentControl", "PolicyFile", "FirewallEngine", "FirewallPolicy", "ConnectionTracking",
            "PacketWire",
        ])
    + [
        .target(
            name: "AnalysisProof",
            dependencies: ["TestSupport", "PolicyAnalysis", "FirewallPolicy", "ConnectionTracking", "PacketWire"],
            path: "Tests/AnalysisProof", swiftSettings: house),
        // Its tests are those of the engine's flows, which it decides beside the engine.
        .target(
            name: "FastPath", dependencies: ["CFastPath", "ConnectionTracking", "PacketWire"], swiftSettings: house),
    ]
    + core("NetfilterQueue", ["CQueueShim"], testing: ["CQueueShim"])
    + core(
        "PacketFilterRules", ["FirewallPolicy", "ConnectionTracking", "PacketWire"],
        testing: ["FirewallPolicy", "ConnectionTracking"])
    + core(
        "KernelRules", ["PacketFilterRules", "FirewallPolicy"],
        testing: ["PacketFilterRules", "FirewallPolicy", "ConnectionTracking"])
    + core(
        "AgentControl",
        [nioCore, nioPosix, "Locking", "FirewallEngine", "FirewallPolicy", "ConnectionTracking", "PacketWire"],
        testing: [nioEmbedded, "FirewallEngine", "FirewallPolicy", "ConnectionTracking", "PacketWire"])
    + core(
        "AgentMetrics",
        [nioCore, nioPosix, "AgentControl", "FirewallEngine", "FirewallPolicy", "ConnectionTracking", "PacketWire"],
        testing: [nioPosix, "AgentControl", "FirewallEngine", "FirewallPolicy", "ConnectionTracking", "PacketWire"])
    + core(
        "CaptureReplay",
        ["CSpawnShim", "CZlib", "EventLog", "FirewallEngine", "FirewallPolicy", "ConnectionTracking", "PacketWire"],
        testing: ["FirewallEngine", "FirewallPolicy", "ConnectionTracking", "PacketWire", "PolicyFile"])
    + core(
        "PathProbe", ["CPathShim", "AgentControl", "PolicyFile", "FirewallEngine", "PacketWire"],
        testing: ["AgentControl", "PolicyFile", "PacketWire"])
    + [
        .target(name: "CPathShim"),
        // The program itself is built for the kernel, by the Makefile.
        .target(name: "CFastPath", exclude: ["program"]),
        .target(name: "CAnswerShim"),
        .target(name: "CServiceShim"),
        .target(
            name: "AgentRuntime",
            dependencies: [
                logging, "CAnswerShim", "COpenSSL", "CServiceShim", "AdministrativeSessions", "AgentControl",
                "AgentMetrics",
                "FastPath",
                "FrameGuard",
                "KernelRules",
                "Locking", "NetfilterQueue", "PacketFilterRules", "PolicyAnalysis", "PolicyFile",
                "EventLog", "FirewallEngine", "FirewallPolicy", "ConnectionTracking", "PacketWire",
            ], swiftSettings: house),
        .testTarget(
            name: "AgentRuntimeTests",
            dependencies: [
                "AgentRuntime", "AgentControl", "FirewallPolicy", "ConnectionTracking", "PacketWire", "TestSupport",
            ],
            swiftSettings: house),
        .executableTarget(name: "portreeved", dependencies: ["AgentRuntime", argumentParser], swiftSettings: house),
        .executableTarget(
            name: "portreeve-bench",
            dependencies: [
                "PolicyAnalysis", "PolicyFile", "EventLog", "FastPath", "FirewallEngine", "FirewallPolicy",
                "ConnectionTracking", "PacketWire", "AnalysisProof", "TestSupport", "AllocationCounter", argumentParser,
            ], swiftSettings: house),
        .target(name: "CSpawnShim"),
        .target(name: "CTerminalShim", linkerSettings: [.linkedLibrary("ncursesw"), .linkedLibrary("tinfo")]),
        .executableTarget(
            name: "portreeve",
            dependencies: [
                argumentParser, "CServiceShim", "CSpawnShim", "CTerminalShim", "ActivityReport",
                "AdministrativeSessions", "AgentControl", "CaptureReplay",
                "EventReader", "FastPath", "KernelRules", "PacketFilterRules", "PathProbe", "PolicyAnalysis",
                "PolicyFile", "FirewallEngine",
                "FirewallPolicy", "ConnectionTracking", "PacketWire",
            ], swiftSettings: house),
        .testTarget(
            name: "portreeveTests",
            dependencies: [
                argumentParser, "portreeve", "AdministrativeSessions", "AgentControl", "EventReader",
                "PacketFilterRules", "PolicyAnalysis", "PolicyFile", "FirewallEngine",
                "FirewallPolicy", "ConnectionTracking", "PacketWire",
            ], swiftSettings: house),
    ]
    + core(
        "EventReader", ["CZlib", "AgentControl", "EventLog", "FirewallEngine", "FirewallPolicy", "PacketWire"],
        testing: [
            "CZlib", "AgentControl", "EventLog", "FirewallEngine", "FirewallPolicy", "ConnectionTracking", "PacketWire",
        ])
    + core(
        "ActivityReport", ["AgentControl", "EventReader", "FirewallEngine", "PacketWire", "PolicyFile"],
        testing: ["AgentControl", "EventReader", "FirewallEngine"])

let package = Package(
    name: "portreeve",
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    ],
    targets: targets,
    swiftLanguageModes: [.v6]
)
