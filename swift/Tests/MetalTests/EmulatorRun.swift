import XCTest

@testable import Metal

/// Kernels on an emulator, with little around them.
struct EmulatorRun {
  static let checked = DeviceObject(EmulatorEngine(checks: true, threads: 2))
  static let unchecked = DeviceObject(EmulatorEngine(checks: false, threads: 2))

  let device: any MTLDevice
  let queue: any MTLCommandQueue

  init(_ device: any MTLDevice) {
    self.device = device
    queue = device.makeCommandQueue()!
  }

  static var both: [EmulatorRun] { [EmulatorRun(checked), EmulatorRun(unchecked)] }

  func pipeline(_ source: String, _ name: String = "k") throws -> any MTLComputePipelineState {
    let text = "#include <metal_stdlib>\nusing namespace metal;\n" + source
    let library = try device.makeLibrary(source: text, options: nil)
    return try device.makeComputePipelineState(function: XCTUnwrap(library.makeFunction(name: name)))
  }

  func buffer<T>(_ values: [T]) -> any MTLBuffer {
    device.makeBuffer(bytes: values, length: values.count * MemoryLayout<T>.stride, options: [])!
  }

  /// Of NaN: what a kernel leaves out shows.
  func poisoned(_ count: Int) -> any MTLBuffer { buffer([Float](repeating: .nan, count: count)) }

  func values<T>(_ buffer: any MTLBuffer, of type: T.Type = Float.self) -> [T] {
    let count = buffer.length / MemoryLayout<T>.stride
    return Array(UnsafeBufferPointer(start: buffer.contents().bindMemory(to: T.self, capacity: count), count: count))
  }

  /// Dispatches once and waits. The buffers go to indices from 0; returns what the command buffer says went wrong.
  @discardableResult
  func run(
    _ pipeline: any MTLComputePipelineState, _ buffers: [(any MTLBuffer)?], threads: MTLSize, threadgroup: MTLSize,
    encode: (any MTLComputeCommandEncoder) -> Void = { _ in }
  ) -> String? {
    let commands = queue.makeCommandBuffer()!
    let encoder = commands.makeComputeCommandEncoder()!
    encoder.setComputePipelineState(pipeline)
    for (index, buffer) in buffers.enumerated() {
      if let buffer { encoder.setBuffer(buffer, offset: 0, index: index) }
    }
    encode(encoder)
    encoder.dispatchThreads(threads, threadsPerThreadgroup: threadgroup)
    encoder.endEncoding()
    commands.commit()
    commands.waitUntilCompleted()
    XCTAssertEqual(commands.status, commands.error == nil ? .completed : .error)
    if commands.error == nil { XCTAssertGreaterThan(commands.gpuEndTime, commands.gpuStartTime) }
    return commands.error.map { ($0 as! MTLCommandBufferError).localizedDescription }
  }
}

func size(_ width: Int, _ height: Int = 1, _ depth: Int = 1) -> MTLSize { MTLSizeMake(width, height, depth) }
