import Metal
import XCTest

/// Every device, or those of the engine that METALFAISS_GPU names.
func testDevices() -> [any MTLDevice] {
  let wanted = ProcessInfo.processInfo.environment["METALFAISS_GPU"]
  return MTLCopyAllDevices().filter { wanted == nil || metalEngineName($0) == wanted }
}

/// Runs a test on each of them.
func onDevices(_ body: (any MTLDevice) throws -> Void) rethrows {
  let devices = testDevices()
  XCTAssertFalse(devices.isEmpty, "no device to test on")
  for device in devices { try body(device) }
}

/// The same numbers every time.
func randomFloats(_ count: Int, seed: UInt64 = 42) -> [Float] {
  var state = seed
  return (0..<count).map { (_: Int) -> Float in
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Float(state >> 40) / Float(1 << 23) - 1
  }
}

func assertClose(_ a: [Float], _ b: [Float], within bound: Float, line: UInt = #line) {
  XCTAssertEqual(a.count, b.count, line: line)
  for (i, (x, y)) in zip(a, b).enumerated() where !(abs(x - y) <= bound) {
    return XCTFail("element \(i) is \(x), not \(y)", line: line)
  }
}
