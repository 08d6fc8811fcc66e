import Foundation
import Metal
import XCTest

/// The kernels of Shaders/stdlib.metal on one device, written against nothing but Apple's API.
struct StdlibRun {
  let device: any MTLDevice
  let library: any MTLLibrary
  let queue: any MTLCommandQueue

  init(_ device: any MTLDevice) throws {
    let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent(
      "Shaders/stdlib.metal")
    let options = MTLCompileOptions()
    options.fastMathEnabled = false
    self.device = device
    library = try device.makeLibrary(source: String(contentsOf: path, encoding: .utf8), options: options)
    queue = try XCTUnwrap(device.makeCommandQueue())
  }

  static func each(_ body: (StdlibRun) throws -> Void) throws {
    try onDevices { try body(StdlibRun($0)) }
  }

  func buffer<T>(_ values: [T]) -> any MTLBuffer {
    device.makeBuffer(bytes: values, length: values.count * MemoryLayout<T>.stride, options: .storageModeShared)!
  }

  /// Filled with bytes that show where a kernel did not write.
  func poisoned<T>(_ count: Int, _ type: T.Type) -> any MTLBuffer {
    buffer([UInt8](repeating: 0xfa, count: count * MemoryLayout<T>.stride))
  }

  /// Runs a kernel over its buffers, in the order of their indices.
  func run(
    _ name: String, _ buffers: [any MTLBuffer], threads: MTLSize, threadgroup: MTLSize, threadgroupBytes: Int = 0,
    line: UInt = #line
  ) throws {
    let pipeline = try device.makeComputePipelineState(function: XCTUnwrap(library.makeFunction(name: name), name))
    let commands = try XCTUnwrap(queue.makeCommandBuffer())
    let encoder = try XCTUnwrap(commands.makeComputeCommandEncoder())
    encoder.setComputePipelineState(pipeline)
    for (index, buffer) in buffers.enumerated() { encoder.setBuffer(buffer, offset: 0, index: index) }
    if threadgroupBytes > 0 { encoder.setThreadgroupMemoryLength(threadgroupBytes, index: 0) }
    encoder.dispatchThreads(threads, threadsPerThreadgroup: threadgroup)
    encoder.endEncoding()
    commands.commit()
    commands.waitUntilCompleted()
    XCTAssertNil(commands.error, "\(device.name): \(name): \(String(describing: commands.error))", line: line)
    XCTAssertEqual(commands.status, .completed, line: line)
  }

  /// Runs a kernel over `count` threads in a row and returns the buffer that `output` counts values of.
  func results<T>(
    _ name: String, _ inputs: [any MTLBuffer], count: Int, columns: Int, of type: T.Type = Float.self,
    line: UInt = #line
  ) throws -> [[T]] {
    let output = poisoned(count * columns, T.self)
    try run(
      name, inputs + [output], threads: MTLSizeMake(count, 1, 1), threadgroup: MTLSizeMake(min(count, 64), 1, 1),
      line: line)
    return rows(output, columns)
  }

  func rows<T>(_ buffer: any MTLBuffer, _ columns: Int, of type: T.Type = T.self) -> [[T]] {
    let count = buffer.length / MemoryLayout<T>.stride
    let all = UnsafeBufferPointer(start: buffer.contents().bindMemory(to: T.self, capacity: count), count: count)
    return stride(from: 0, to: count, by: columns).map { Array(all[$0..<min($0 + columns, count)]) }
  }

  /// Equal, both NaN, or as near as so many units in the last place or `within`.
  func check(
    _ found: Float, _ wanted: Double, _ what: @autoclosure () -> String, ulps: Double = 0, within: Double = 0,
    line: UInt = #line
  ) {
    let rounded = Float(wanted)
    if found == rounded || (found.isNaN && rounded.isNaN) { return }
    let bound = ulps * Double(rounded.isFinite ? rounded.ulp : 0) + within
    if abs(Double(found) - wanted) <= bound { return }
    XCTFail("\(device.name): \(what()) is \(found), not \(rounded)", line: line)
  }

  func check<T: Equatable>(_ found: [T], _ wanted: [T], _ what: @autoclosure () -> String, line: UInt = #line) {
    if found == wanted { return }
    let at = zip(found, wanted).enumerated().first { $1.0 != $1.1 }?.offset ?? min(found.count, wanted.count)
    XCTFail("\(device.name): \(what()): element \(at) of \(found) is not that of \(wanted)", line: line)
  }
}
