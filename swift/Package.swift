// swift-tools-version:6.0
import Foundation
import PackageDescription

// One dynamic library with no dependency on the toolchain: on Linux Swift's stdlib goes inside.
// The static stdlib lies beside whichever `swift` runs this manifest.
#if os(Linux)
  let toolchain = (Context.environment["PATH"] ?? "").split(separator: ":")
    .map { URL(fileURLWithPath: "\($0)/swift").resolvingSymlinksInPath() }
    .first { FileManager.default.isExecutableFile(atPath: $0.path) }
  let stdlib = toolchain?.deletingLastPathComponent()
    .appendingPathComponent("../lib/swift_static/linux").standardized.path
  let linkerSettings: [LinkerSetting] = [
    .unsafeFlags(["-static-stdlib", "-L\(stdlib ?? "/usr/lib/swift_static/linux")"]),
    .linkedLibrary("m"),
  ]
#else
  let linkerSettings: [LinkerSetting] = []
#endif

// The published package leaves the tests out.
let hasTests = FileManager.default.fileExists(atPath: "\(Context.packageDirectory)/Tests")

let package = Package(
  name: "MetalFaiss",
  platforms: [.macOS(.v13)],
  products: [.library(name: "MetalFaiss", type: .dynamic, targets: ["MetalFaiss"])],
  targets: [
    .target(name: "CMetalFaiss"),
    .target(
      name: "CPUKernels",
      cSettings: [.unsafeFlags(["-O3", "-fno-math-errno", "-ffp-contract=off", "-Wno-psabi", "-fvisibility=hidden"])]
    ),
    .target(
      name: "MetalFaiss",
      dependencies: ["CMetalFaiss", "CPUKernels"],
      swiftSettings: [.unsafeFlags(["-Ounchecked"], .when(configuration: .release))],
      linkerSettings: linkerSettings
    ),
  ] + (hasTests ? [.testTarget(name: "CPUKernelsTests", dependencies: ["CPUKernels"])] : [])
)
