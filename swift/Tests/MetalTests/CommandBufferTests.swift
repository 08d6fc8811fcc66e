@testable import Metal
import XCTest

/// Order, callbacks, sizes in memory, counters.
final class CommandBufferTests: XCTestCase {
  private let source = """
    #include <metal_stdlib>
    using namespace metal;
    kernel void append(device uint *log, constant uint &value) { log[++log[0]] = value; }
    kernel void size(device uint *sizes, constant uint3 &wanted) { sizes[0] = wanted.x; sizes[1] = wanted.y; sizes[2] = wanted.z; }
    kernel void count(device atomic_uint *total) { atomic_fetch_add_explicit(total, 1, memory_order_relaxed); }
    """
  private let one = MTLSize(width: 1, height: 1, depth: 1)

  private func zeroed(_ device: any MTLDevice, _ length: Int) -> any MTLBuffer {
    let buffer = device.makeBuffer(length: length)!
    memset(buffer.contents(), 0, length)
    return buffer
  }

  private func state(_ device: any MTLDevice, _ name: String) throws -> any MTLComputePipelineState {
    let library = try device.makeLibrary(source: source, options: nil)
    return try device.makeComputePipelineState(function: library.makeFunction(name: name)!)
  }

  func testRunInTheOrderOfEnqueue() throws {
    try onDevices { device in
      let log = zeroed(device, 64)
      let append = try state(device, "append")
      let queue = device.makeCommandQueue()!
      let buffers = (1...4).map { value in
        let commands = queue.makeCommandBuffer()!
        let encoder = commands.makeComputeCommandEncoder()!
        encoder.setComputePipelineState(append)
        encoder.setBuffer(log, offset: 0, index: 0)
        var value = UInt32(value)
        encoder.setBytes(&value, length: 4, index: 1)
        encoder.dispatchThreads(one, threadsPerThreadgroup: one)
        encoder.endEncoding()
        return commands
      }
      buffers[2].enqueue()
      XCTAssertEqual(buffers[2].status, .enqueued)
      buffers[0].commit()
      buffers[3].commit()
      usleep(20_000)
      XCTAssertEqual(log.contents().load(as: UInt32.self), 0, "one that is enqueued holds up those behind it")
      buffers[1].commit()
      buffers[2].commit()
      for commands in buffers { commands.waitUntilCompleted() }
      XCTAssertEqual(buffers.map(\.status), Array(repeating: .completed, count: 4))
      let values = log.contents().assumingMemoryBound(to: UInt32.self)
      XCTAssertEqual((0..<5).map { values[$0] }, [4, 3, 1, 4, 2])
      XCTAssertLessThanOrEqual(buffers[2].gpuEndTime, buffers[1].gpuEndTime)
    }
  }

  func testHandlersRunOnceAndBeforeTheWaitEnds() {
    onDevices { device in
      let commands = device.makeCommandQueue()!.makeCommandBuffer()!
      let calls = Calls()
      commands.addScheduledHandler { calls.add("scheduled \($0.error == nil)") }
      commands.addCompletedHandler { calls.add("completed \($0.status == .completed)") }
      commands.addCompletedHandler { _ in
        usleep(20_000)
        calls.add("slow")
      }
      commands.commit()
      commands.waitUntilScheduled()
      commands.waitUntilCompleted()
      XCTAssertEqual(calls.all, ["scheduled true", "completed true", "slow"])
      XCTAssertGreaterThan(commands.kernelStartTime, 0)
      XCTAssertGreaterThanOrEqual(commands.kernelEndTime, commands.kernelStartTime)
    }
  }

  func testAHandlerCanCommitAndWait() {
    onDevices { device in
      let queue = device.makeCommandQueue(maxCommandBufferCount: 1)!
      let other = device.makeCommandQueue()!
      let done = expectation(description: "handler")
      let commands = queue.makeCommandBuffer()!
      commands.addCompletedHandler { _ in
        let next = other.makeCommandBuffer()!
        next.commit()
        next.waitUntilCompleted()
        queue.makeCommandBuffer()!.commit()
        done.fulfill()
      }
      commands.commit()
      wait(for: [done], timeout: 10)
    }
  }

  func testSizesComeFromMemory() throws {
    try onDevices { device in
      let (size, count, append) = (try state(device, "size"), try state(device, "count"), try state(device, "append"))
      for options: MTLResourceOptions in [.storageModeShared, .storageModePrivate] {
        for wanted: [UInt32] in [[3, 2, 1], [0, 1, 1]] {
          let expected: UInt32 = wanted[0] * wanted[1] * wanted[2] * 8
          let (total, log) = (zeroed(device, 4), zeroed(device, 64))
          let sizes = device.makeBuffer(length: 32, options: options)!
          let commands = device.makeCommandQueue()!.makeCommandBuffer()!
          let encoder = commands.makeComputeCommandEncoder()!
          encoder.setComputePipelineState(size)
          encoder.setBuffer(sizes, offset: 16, index: 0)
          encoder.setBytes(wanted + [UInt32(0)], length: 16, index: 1)
          encoder.dispatchThreads(one, threadsPerThreadgroup: one)
          encoder.setComputePipelineState(count)
          encoder.setBuffer(total, offset: 0, index: 0)
          encoder.dispatchThreadgroups(
            indirectBuffer: sizes, indirectBufferOffset: 16, threadsPerThreadgroup: MTLSizeMake(4, 2, 1))
          encoder.setComputePipelineState(append)
          encoder.setBuffer(log, offset: 0, index: 0)
          encoder.dispatchThreads(one, threadsPerThreadgroup: one)
          encoder.endEncoding()
          commands.commit()
          commands.waitUntilCompleted()
          XCTAssertEqual(total.contents().load(as: UInt32.self), expected)
          if expected > 0 {
            XCTAssertNil(commands.error)
            XCTAssertEqual(log.contents().load(as: UInt32.self), 1)
            XCTAssertGreaterThan(commands.gpuEndTime, commands.gpuStartTime)
          } else {
            XCTAssertTrue("\(commands.error!)".contains("grid of 0 × 1 × 1"))
            XCTAssertEqual(log.contents().load(as: UInt32.self), 0)
          }
        }
      }
    }
  }

  func testAFailedCommandBufferStillSignals() {
    onDevices { device in
      let event = device.makeSharedEvent()!
      let bad = device.makeCommandQueue()!.makeCommandBuffer()!
      let encoder = bad.makeComputeCommandEncoder()!
      encoder.dispatchThreads(one, threadsPerThreadgroup: one)
      encoder.endEncoding()
      bad.encodeSignalEvent(event, value: 3)
      bad.commit()
      XCTAssertTrue(event.wait(untilSignaledValue: 3, timeoutMS: 5000))
      XCTAssertFalse(event.wait(untilSignaledValue: 4, timeoutMS: 1))
      event.signaledValue = 2
      XCTAssertEqual(event.signaledValue, 3)
      bad.waitUntilCompleted()
      XCTAssertEqual(bad.status, .error)
    }
  }

  func testMemoryIsCounted() {
    onDevices { device in
      let before = device.currentAllocatedSize
      var buffer = device.makeBuffer(length: 1 << 20, options: .storageModePrivate)
      XCTAssertGreaterThanOrEqual(device.currentAllocatedSize - before, 1 << 20)
      XCTAssertEqual(buffer?.storageMode, .private)
      buffer = nil
      XCTAssertEqual(device.currentAllocatedSize, before)
      XCTAssertNil(device.makeBuffer(length: 0))
      XCTAssertNil(device.makeBuffer(length: Int.max))
    }
  }

  func testMemoryOfTheCaller() {
    onDevices { device in
      let page = Int(sysconf(Int32(_SC_PAGESIZE)))
      let memory = UnsafeMutableRawPointer.allocate(byteCount: page, alignment: page)
      memset(memory, 0, page)
      let freed = Calls()
      var buffer = device.makeBuffer(bytesNoCopy: memory, length: page, options: .storageModeShared) { pointer, length in
        freed.add("\(length)")
        pointer.deallocate()
      }
      guard buffer != nil else { return memory.deallocate() }
      XCTAssertEqual(buffer?.contents(), memory)
      let commands = device.makeCommandQueue()!.makeCommandBuffer()!
      let blit = commands.makeBlitCommandEncoder()!
      blit.fill(buffer: buffer!, range: 8..<12, value: 7)
      blit.endEncoding()
      commands.commit()
      commands.waitUntilCompleted()
      XCTAssertEqual(memory.load(fromByteOffset: 8, as: UInt32.self), 0x0707_0707)
      XCTAssertEqual(freed.all, [])
      buffer = nil
      let end = Date().addingTimeInterval(5)
      while freed.all.isEmpty, Date() < end { usleep(1000) }
      XCTAssertEqual(freed.all, ["\(page)"])
    }
  }
}

final class Calls: @unchecked Sendable {
  private let lock = NSLock()
  private var names: [String] = []
  func add(_ name: String) { lock.withLock { names.append(name) } }
  var all: [String] { lock.withLock { names } }
}
