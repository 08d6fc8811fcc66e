import Metal
import MetalPerformanceShaders
import XCTest

/// Programs written for Apple's Metal (folder Programs), on every device.
final class AppleProgramsTests: XCTestCase {
  func testAddsArraysThroughPrivateMemory() throws {
    try onDevices { device in
      let (a, b) = (randomFloats(10_000), randomFloats(10_000, seed: 7))
      let adder = try MetalAdder(device: device)
      for _ in 0..<2 {
        let (sums, time) = adder.add(a, b)
        XCTAssertEqual(sums, zip(a, b).map { (x: Float, y: Float) -> Float in x + y })
        XCTAssertGreaterThan(time, 0)
      }
    }
  }

  func testMultipliesTiles() throws {
    try onDevices { device in
      let sizes = MatrixSizes(rows: 37, columns: 50, inner: 41)
      let (a, b) = (randomFloats(37 * 41), randomFloats(41 * 50, seed: 3))
      let product = try multiply(device: device, a, b, sizes)
      assertClose(product, reference(a, b, 37, 50, 41, transposeRight: false), within: 1e-5)
    }
  }

  func testReducesWithSimdgroups() throws {
    try onDevices { device in
      for count in [1, 31, 256, 1000, 5000] {
        let values: [Int32] = (0..<count).map { (i: Int) -> Int32 in Int32(i * 7919 % 1000) - 500 }
        XCTAssertEqual(try sum(device: device, values), values.reduce(0, +), "\(count) values")
      }
    }
  }

  func testSpecializesByFunctionConstants() throws {
    try onDevices { device in
      let values: [Float] = [1, 2, 3]
      XCTAssertEqual(try transform(device: device, values, Variant(scale: 2, squares: true, offset: nil)), [102, 108, 118])
      XCTAssertEqual(try transform(device: device, values, Variant(scale: 0.5, squares: false, offset: -1)), [-0.5, 0, 0.5])
    }
  }

  func testKeepsTwoQueuesInStep() throws {
    try onDevices { device in
      let (sums, heard) = try produceAndConsume(device: device, count: 100, rounds: 5)
      let wanted: [UInt32] = (0..<100).map { (i: UInt32) -> UInt32 in 10_000 + 5 * i }
      XCTAssertEqual(sums, wanted)
      XCTAssertEqual(heard, [10])
    }
  }

  func testPassesStructs() async throws {
    for device in testDevices() {
      let start = (0..<70).map {
        Particle(position: SIMD4<Float>(Float($0), 1, 0, 1), velocity: SIMD3<Float>(1, 0, 0), color: (0, 0, 0), steps: 0)
      }
      let uniforms = Uniforms(gravity: SIMD3<Float>(0, -2, 0), deltaTime: 0.5, count: 70)
      let end = try await Simulation(device: device).run(start, steps: 2, uniforms)
      for (i, particle) in end.enumerated() {
        let position = SIMD4<Float>(Float(i) + 1, -0.5, 0, 1)
        XCTAssertEqual(particle.position, position)
        XCTAssertEqual(particle.velocity, SIMD3<Float>(1, -2, 0))
        XCTAssertEqual(particle.color.1, 0)
        XCTAssertEqual(particle.steps, 2)
      }
    }
  }

  func testMultipliesByPerformanceShaders() {
    onDevices { device in
      for transposeRight in [false, true] {
        let (a, b) = (randomFloats(33 * 70), randomFloats(70 * 45, seed: 5))
        let got = product(
          device: device, a, b, rows: 33, columns: 45, inner: 70, transposeRight: transposeRight, alpha: 0.5)
        let wanted = reference(a, b, 33, 45, 70, transposeRight: transposeRight).map { (x: Float) -> Float in x / 2 }
        assertClose(got, wanted, within: 1e-4)
      }
      // 1, 2; 3, 4 times 1, -1 in halves.
      XCTAssertEqual(halfProduct(device: device, [0x3c00, 0x4000, 0x4200, 0x4400], [0x3c00, 0xbc00]), [0xbc00, 0xbc00])
    }
  }

  private func reference(_ a: [Float], _ b: [Float], _ rows: Int, _ columns: Int, _ inner: Int, transposeRight: Bool)
    -> [Float]
  {
    var product = [Float](repeating: 0, count: rows * columns)
    for row in 0..<rows {
      for column in 0..<columns {
        for k in 0..<inner {
          let factor = transposeRight ? b[column * inner + k] : b[k * columns + column]
          product[row * columns + column] += a[row * inner + k] * factor
        }
      }
    }
    return product
  }
}
