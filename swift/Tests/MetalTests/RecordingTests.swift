@testable import Metal
import MetalPerformanceShaders
import XCTest

/// Command buffers that are committed again and again.
final class RecordingTests: XCTestCase {
  private let one = MTLSize(width: 1, height: 1, depth: 1)
  private let source = """
    #include <metal_stdlib>
    using namespace metal;
    kernel void step(device float *x, constant float &by, uint i [[thread_position_in_grid]]) { x[i] = x[i] * 2 + by; }
    kernel void far(device float *x, uint i [[thread_position_in_grid]]) { x[i + 1000] = 1; }
    kernel void wide(device float4 *x, constant float2 &by, uint i [[thread_position_in_grid]]) { x[i] += by.x; }
    """

  private func state(_ device: any MTLDevice, _ name: String) throws -> any MTLComputePipelineState {
    let library = try device.makeLibrary(source: source, options: nil)
    return try device.makeComputePipelineState(function: library.makeFunction(name: name)!)
  }

  private func step(_ queue: any MTLCommandQueue, _ x: any MTLBuffer, _ by: Float, _ name: String = "step") throws
    -> any MTLCommandBuffer
  {
    let commands = queue.makeCommandBuffer()!
    commands.label = "recorded"
    let encoder = commands.makeComputeCommandEncoder()!
    encoder.setComputePipelineState(try state(queue.device, name))
    encoder.setBuffer(x, offset: 0, index: 0)
    var by = by
    if name == "step" { encoder.setBytes(&by, length: 4, index: 1) }
    encoder.dispatchThreads(one, threadsPerThreadgroup: one)
    encoder.endEncoding()
    return commands
  }

  private func value(_ buffer: any MTLBuffer) -> Float { buffer.contents().load(as: Float.self) }

  func testReplaysOnEveryQueue() throws {
    try onDevices { device in
      let x = device.makeBuffer(length: 4)!
      memset(x.contents(), 0, 4)
      let recording = try MetalRecording(step(device.makeCommandQueue()!, x, 1))
      var wanted: Float = 0
      for queue in [device.makeCommandQueue()!, device.makeCommandQueue()!] {
        for _ in 0..<4 {
          let commands = recording.makeCommandBuffer(on: queue)!
          XCTAssertEqual(commands.label, "recorded")
          commands.commit()
          commands.waitUntilCompleted()
          XCTAssertEqual(commands.status, .completed)
          XCTAssertGreaterThan(commands.gpuEndTime, commands.gpuStartTime)
          wanted = wanted * 2 + 1
          XCTAssertEqual(value(x), wanted)
        }
      }
    }
  }

  func testWhatIsEncodedIntoAReplayFollows() throws {
    try onDevices { device in
      let (x, y) = (device.makeBuffer(length: 4)!, device.makeBuffer(length: 4)!)
      memset(x.contents(), 0, 4)
      let queue = device.makeCommandQueue()!
      let recording = try MetalRecording(step(queue, x, 1))
      for round in 1...3 {
        let commands = recording.makeCommandBuffer(on: queue)!
        let encoder = commands.makeBlitCommandEncoder()!
        encoder.copy(from: x, sourceOffset: 0, to: y, destinationOffset: 0, size: 4)
        encoder.endEncoding()
        commands.commit()
        commands.waitUntilCompleted()
        XCTAssertEqual(value(y), Float(1 << round) - 1)
      }
    }
  }

  func testKeepsWhatItUsesAndLetsItGo() throws {
    try onDevices { device in
      let before = device.currentAllocatedSize
      try {
        var recording: MetalRecording? = try {
          let x = device.makeBuffer(length: 1 << 20)!
          return try MetalRecording(step(device.makeCommandQueue()!, x, 1))
        }()
        let queue = device.makeCommandQueue()!
        for _ in 0..<3 {
          let commands = recording!.makeCommandBuffer(on: queue)!
          commands.commit()
          commands.waitUntilCompleted()
          XCTAssertNil(commands.error)
        }
        XCTAssertNotNil(recording)
        recording = nil
      }()
      XCTAssertEqual(device.currentAllocatedSize, before)
    }
  }

  func testRefusesWhatACommitWould() throws {
    try onDevices { device in
      let queue = device.makeCommandQueue()!
      let x = device.makeBuffer(length: 4)!
      XCTAssertThrowsError(try MetalRecording(step(queue, x, 0, "wide")), "an argument is missing")
      let open = queue.makeCommandBuffer()!
      let encoder = open.makeBlitCommandEncoder()!
      XCTAssertThrowsError(try MetalRecording(open), "an encoder is open")
      encoder.endEncoding()
      let done = queue.makeCommandBuffer()!
      done.commit()
      XCTAssertThrowsError(try MetalRecording(done), "it was committed")
      let sizes = device.makeBuffer(length: 16)!
      let indirect = queue.makeCommandBuffer()!
      let compute = indirect.makeComputeCommandEncoder()!
      compute.setComputePipelineState(try state(device, "far"))
      compute.setBuffer(x, offset: 0, index: 0)
      compute.dispatchThreadgroups(indirectBuffer: sizes, indirectBufferOffset: 0, threadsPerThreadgroup: one)
      compute.endEncoding()
      XCTAssertThrowsError(try MetalRecording(indirect), "it reads sizes from memory")
    }
  }

  func testPlacesForCommandBuffersComeBack() throws {
    try onDevices { device in
      let queue = device.makeCommandQueue(maxCommandBufferCount: 2)!
      let x = device.makeBuffer(length: 4)!
      memset(x.contents(), 0, 4)
      let recording = try MetalRecording(step(queue, x, 0))
      for _ in 0..<5 { XCTAssertNotNil(recording.makeCommandBuffer(on: queue)) }
      for _ in 0..<5 { recording.makeCommandBuffer(on: queue)!.commit() }
    }
  }

  func testRefusesPlacesThatElementsCannotHave() throws {
    try onDevices { device in
      let queue = device.makeCommandQueue()!
      let pipeline = try state(device, "wide")
      let x = device.makeBuffer(length: 64)!
      memset(x.contents(), 0, 64)
      for (offset, byOffset, isFine) in [(16, 40, true), (8, 32, false), (4, 32, false), (0, 36, false)] {
        let commands = queue.makeCommandBuffer()!
        let encoder = commands.makeComputeCommandEncoder()!
        encoder.setComputePipelineState(pipeline)
        encoder.setBuffer(x, offset: offset, index: 0)
        encoder.setBuffer(x, offset: byOffset, index: 1)
        encoder.dispatchThreads(one, threadsPerThreadgroup: one)
        encoder.endEncoding()
        commands.commit()
        commands.waitUntilCompleted()
        XCTAssertEqual(commands.error == nil, isFine, "\(offset) \(byOffset)")
        let text = commands.error.map { "\($0)" } ?? "multiple of"
        XCTAssertTrue(text.contains("multiple of"), text)
      }
    }
  }

  func testFactsAreAnEnginesOwn() {
    onDevices { device in
      let facts = metalDeviceFacts(device)
      XCTAssertEqual(facts.cores != nil, metalEngineName(device) == "cuda")
      XCTAssertEqual(metalDeviceVersions(device).isEmpty, metalEngineName(device) != "cuda")
    }
  }
}
