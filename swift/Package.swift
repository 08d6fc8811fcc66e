// swift-tools-version:6.0
import Foundation
import PackageDescription

let optimized: [SwiftSetting] = [.unsafeFlags(["-Ounchecked"], .when(configuration: .release))]
let kernelSettings: [CSetting] = [
  .unsafeFlags(["-O3", "-fno-math-errno", "-ffp-contract=off", "-Wno-psabi", "-fvisibility=hidden"])
]

#if os(Linux)
  // One dynamic library with no dependency on the toolchain: Swift's stdlib goes inside.
  // The static stdlib lies beside whichever `swift` runs this manifest.
  let toolchain = (Context.environment["PATH"] ?? "").split(separator: ":")
    .map { URL(fileURLWithPath: "\($0)/swift").resolvingSymlinksInPath() }
    .first { FileManager.default.isExecutableFile(atPath: $0.path) }
  let stdlib = toolchain?.deletingLastPathComponent()
    .appendingPathComponent("../lib/swift_static/linux").standardized.path
  let linkerSettings: [LinkerSetting] = [
    .unsafeFlags(["-static-stdlib", "-L\(stdlib ?? "/usr/lib/swift_static/linux")"]),
    // Never unloaded: threads that end call back into it, at the latest from Swift's runtime.
    .unsafeFlags(["-Xlinker", "-z", "-Xlinker", "nodelete"]),
    .linkedLibrary("m"),
  ]
  // Metal, where there is none: modules of the names that programs import.
  let metal: [Target] = [
    .target(
      name: "CMetal",
      cSettings: [.unsafeFlags(["-O3", "-fvisibility=hidden"])],
      linkerSettings: [.linkedLibrary("m"), .linkedLibrary("dl"), .linkedLibrary("pthread")]
    ),
    .target(name: "Metal", dependencies: ["CMetal", "CPUKernels", "Threading"], swiftSettings: optimized),
    .target(name: "MetalPerformanceShaders", dependencies: ["Metal"], swiftSettings: optimized),
    // For programs that import Foundation beside Metal; nothing imports it, linking it is enough.
    .target(name: "MetalFoundation", dependencies: ["Metal"], swiftSettings: optimized),
  ]
  let metalProducts: [Product] = [
    .library(name: "Metal", targets: ["Metal", "MetalPerformanceShaders", "MetalFoundation"])
  ]
  let metalTests: [Target] = [
    .testTarget(
      name: "MetalTests", dependencies: ["Metal", "MetalPerformanceShaders", "MetalFoundation"], exclude: ["Shaders"])
  ]
  let metalModules: [Target.Dependency] = ["Metal", "MetalPerformanceShaders"]
#else
  let linkerSettings: [LinkerSetting] = [.linkedFramework("Metal"), .linkedFramework("MetalPerformanceShaders")]
  let metal: [Target] = []
  let metalProducts: [Product] = []
  let metalTests: [Target] = []
  let metalModules: [Target.Dependency] = []
#endif

// The published package leaves the tests out.
let hasTests = FileManager.default.fileExists(atPath: "\(Context.packageDirectory)/Tests")
let tests: [Target] = [.testTarget(name: "CPUKernelsTests", dependencies: ["CPUKernels"])] + metalTests

let package = Package(
  name: "MetalFaiss",
  platforms: [.macOS(.v13)],
  products: [.library(name: "MetalFaiss", type: .dynamic, targets: ["MetalFaiss"])] + metalProducts,
  targets: [
    .target(name: "CMetalFaiss"),
    .target(name: "CPUKernels", cSettings: kernelSettings),
    .target(name: "Threading", dependencies: ["CPUKernels"], swiftSettings: optimized),
    .target(
      name: "MetalFaiss",
      dependencies: ["CMetalFaiss", "CPUKernels", "Threading"] + metalModules,
      swiftSettings: optimized,
      linkerSettings: linkerSettings
    ),
  ] + metal + (hasTests ? tests : [])
)
