@testable import Metal
import XCTest

/// Plants each fault that Apple's validation layer ends a program for, and sees it in the command buffer's error.
final class APIValidationTests: XCTestCase {
  private let source = """
    #include <metal_stdlib>
    using namespace metal;
    struct Wide { float4 values[4]; };
    kernel void copy(device const float *source [[buffer(0)]], device float *target [[buffer(1)]],
                     uint i [[thread_position_in_grid]]) { target[i] = source[i]; }
    kernel void wide(constant Wide &settings [[buffer(0)]], device float *target [[buffer(1)]],
                     uint i [[thread_position_in_grid]]) { target[i] = settings.values[i / 4][i % 4]; }
    kernel void shared(device float *target [[buffer(0)]], threadgroup float *scratch [[threadgroup(0)]],
                       uint i [[thread_index_in_threadgroup]]) {
        threadgroup float fixed[4096];
        fixed[i] = 1;
        scratch[i] = 2;
        target[i] = fixed[i] + scratch[i];
    }
    [[max_total_threads_per_threadgroup(64)]]
    kernel void narrow(device float *target [[buffer(0)]], uint i [[thread_position_in_grid]]) { target[i] = 1; }
    """

  private struct Bench {
    let device: any MTLDevice
    let queue: any MTLCommandQueue
    let library: any MTLLibrary
    let buffer: any MTLBuffer
    let other: any MTLBuffer

    func state(_ name: String) throws -> any MTLComputePipelineState {
      try device.makeComputePipelineState(function: library.makeFunction(name: name)!)
    }
  }

  private let one = MTLSize(width: 1, height: 1, depth: 1)

  private func onBenches(_ body: (Bench) throws -> Void) throws {
    try onDevices { device in
      let library = try device.makeLibrary(source: source, options: nil)
      let (a, b) = (device.makeBuffer(length: 64)!, device.makeBuffer(length: 64)!)
      (a.label, b.label) = ("left", "right")
      try body(Bench(device: device, queue: device.makeCommandQueue()!, library: library, buffer: a, other: b))
    }
  }

  /// Encodes with a kernel, and expects an error that says all of the words.
  private func expect(
    _ bench: Bench, _ kernel: String?, _ words: [String], code: MTLCommandBufferError.Code? = nil, line: UInt = #line,
    _ body: (any MTLComputeCommandEncoder) throws -> Void
  ) throws {
    let commands = bench.queue.makeCommandBuffer()!
    commands.label = "faulty"
    let encoder = commands.makeComputeCommandEncoder()!
    if let kernel { encoder.setComputePipelineState(try bench.state(kernel)) }
    try body(encoder)
    encoder.endEncoding()
    commands.commit()
    commands.waitUntilCompleted()
    check(commands, words, code: code, line: line)
  }

  private func check(
    _ commands: any MTLCommandBuffer, _ words: [String], code: MTLCommandBufferError.Code? = nil, line: UInt = #line
  ) {
    XCTAssertEqual(commands.status, .error, line: line)
    guard let error = commands.error as? MTLCommandBufferError else {
      return XCTFail("the error is \(String(describing: commands.error))", line: line)
    }
    if let code { XCTAssertEqual(error.code, code, line: line) }
    let text = error.localizedDescription
    for word in words { XCTAssertTrue(text.contains(word), "\"\(word)\" is not in: \(text)", line: line) }
  }

  func testArgumentsThatAreNotSet() throws {
    try onBenches { bench in
      try expect(bench, "copy", ["kernel \"copy\"", "\"target\" [[buffer(1)]]", "not set", "faulty"], code: .invalidResource) {
        $0.setBuffer(bench.buffer, offset: 0, index: 0)
        $0.dispatchThreads(one, threadsPerThreadgroup: one)
      }
      try expect(bench, "copy", ["\"source\" [[buffer(0)]]", "not set"]) {
        $0.setBuffer(bench.buffer, offset: 0, index: 0)
        $0.setBuffer(bench.buffer, offset: 0, index: 1)
        $0.setBuffer(nil, offset: 0, index: 0)
        $0.dispatchThreads(one, threadsPerThreadgroup: one)
      }
      try expect(bench, "shared", ["\"scratch\" [[threadgroup(0)]]", "length is not set"]) {
        $0.setBuffer(bench.buffer, offset: 0, index: 0)
        $0.dispatchThreads(one, threadsPerThreadgroup: one)
      }
      try expect(bench, nil, ["no compute pipeline state"]) { $0.dispatchThreads(one, threadsPerThreadgroup: one) }
    }
  }

  func testBuffersThatAreTooSmall() throws {
    try onBenches { bench in
      try expect(bench, "copy", ["buffer 1", "offset 65", "\"right\" of 64 bytes"], code: .invalidResource) {
        $0.setBuffer(bench.other, offset: 65, index: 1)
      }
      try expect(bench, "wide", ["\"settings\" [[buffer(0)]]", "needs 64 bytes", "offset 16", "has 48"]) {
        $0.setBuffer(bench.buffer, offset: 0, index: 0)
        $0.setBufferOffset(16, index: 0)
        $0.setBuffer(bench.other, offset: 0, index: 1)
        $0.dispatchThreads(one, threadsPerThreadgroup: one)
      }
      try expect(bench, "wide", ["\"settings\" [[buffer(0)]]", "needs 64 bytes", "setBytes gave 12"]) {
        $0.setBytes([Float](repeating: 0, count: 3), length: 12, index: 0)
        $0.setBuffer(bench.other, offset: 0, index: 1)
        $0.dispatchThreads(one, threadsPerThreadgroup: one)
      }
      try expect(bench, "copy", ["offset of buffer 1", "no buffer is set"]) { $0.setBufferOffset(4, index: 1) }
    }
  }

  func testLimitsOfArguments() throws {
    try onBenches { bench in
      try expect(bench, "copy", ["bytes 0", "\"source\"", "4100 bytes", "4096"]) {
        $0.setBytes([UInt8](repeating: 0, count: 4100), length: 4100, index: 0)
      }
      try expect(bench, "copy", ["buffer 31", "0 to 30"]) { $0.setBuffer(bench.buffer, offset: 0, index: 31) }
      try expect(bench, "copy", ["buffer -1"]) { $0.setBuffer(bench.buffer, offset: 0, index: -1) }
      try expect(bench, "shared", ["multiple of 16", "20"]) { $0.setThreadgroupMemoryLength(20, index: 0) }
      try expect(bench, "shared", ["kernel \"shared\"", "33792 bytes", "16384", "17408", "32768"]) {
        $0.setBuffer(bench.buffer, offset: 0, index: 0)
        $0.setThreadgroupMemoryLength(17408, index: 0)
        $0.dispatchThreads(one, threadsPerThreadgroup: one)
      }
    }
  }

  func testGridsAndThreadgroups() throws {
    try onBenches { bench in
      func dispatch(_ kernel: String, _ words: [String], line: UInt = #line, _ body: (any MTLComputeCommandEncoder) -> Void) throws {
        try expect(bench, kernel, ["kernel \"\(kernel)\""] + words, line: line) {
          $0.setBuffer(bench.buffer, offset: 0, index: 0)
          $0.setBuffer(bench.other, offset: 0, index: 1)
          body($0)
        }
      }
      let none = MTLSize(width: 4, height: 0, depth: 1)
      try dispatch("copy", ["grid of 4 × 0 × 1 threads"]) { $0.dispatchThreads(none, threadsPerThreadgroup: one) }
      try dispatch("copy", ["grid of 4 × 0 × 1 threadgroups"]) { $0.dispatchThreadgroups(none, threadsPerThreadgroup: one) }
      try dispatch("copy", ["threadgroup of 4 × 0 × 1"]) { $0.dispatchThreads(one, threadsPerThreadgroup: none) }
      try dispatch("copy", ["1025 × 1 × 1", "1024"]) {
        $0.dispatchThreads(one, threadsPerThreadgroup: MTLSizeMake(1025, 1, 1))
      }
      try dispatch("copy", ["64 × 17 × 1", "1024"]) {
        $0.dispatchThreads(one, threadsPerThreadgroup: MTLSizeMake(64, 17, 1))
      }
      try dispatch("narrow", ["65 × 1 × 1", "64"]) {
        $0.dispatchThreads(one, threadsPerThreadgroup: MTLSizeMake(65, 1, 1))
      }
      try dispatch("copy", ["larger than 4294967295"]) {
        $0.dispatchThreads(MTLSizeMake(1 << 33, 1, 1), threadsPerThreadgroup: one)
      }
    }
  }

  func testOrderOfCalls() throws {
    try onBenches { bench in
      let open = bench.queue.makeCommandBuffer()!
      let encoder = open.makeComputeCommandEncoder()!
      encoder.label = "forgotten"
      open.commit()
      open.waitUntilCompleted()
      check(open, ["\"forgotten\" was not ended"])

      let twice = bench.queue.makeCommandBuffer()!
      twice.commit()
      twice.commit()
      twice.waitUntilCompleted()
      check(twice, ["committed before"])
      XCTAssertNil(twice.makeComputeCommandEncoder())

      let two = bench.queue.makeCommandBuffer()!
      _ = two.makeBlitCommandEncoder()
      let second = two.makeComputeCommandEncoder()!
      second.endEncoding()
      second.endEncoding()
      two.commit()
      two.waitUntilCompleted()
      check(two, ["blit command encoder", "was not ended"])

      let early = bench.queue.makeCommandBuffer()!
      early.waitUntilCompleted()
      early.commit()
      early.waitUntilCompleted()
      check(early, ["before commit()"])
    }
  }

  func testBlits() throws {
    try onBenches { bench in
      func blit(_ words: [String], line: UInt = #line, _ body: (any MTLBlitCommandEncoder) -> Void) {
        let commands = bench.queue.makeCommandBuffer()!
        let encoder = commands.makeBlitCommandEncoder()!
        body(encoder)
        encoder.endEncoding()
        commands.commit()
        commands.waitUntilCompleted()
        check(commands, words, code: .invalidResource, line: line)
      }
      blit(["copy to buffer \"right\"", "60 bytes from offset 8"]) {
        $0.copy(from: bench.buffer, sourceOffset: 0, to: bench.other, destinationOffset: 8, size: 60)
      }
      blit(["copy from buffer \"left\"", "0 bytes"]) {
        $0.copy(from: bench.buffer, sourceOffset: 0, to: bench.other, destinationOffset: 0, size: 0)
      }
      blit(["overlap"]) {
        $0.copy(from: bench.buffer, sourceOffset: 0, to: bench.buffer, destinationOffset: 8, size: 16)
      }
      blit(["fill buffer \"left\"", "65 bytes"]) { $0.fill(buffer: bench.buffer, range: 0..<65, value: 1) }
    }
  }
}
