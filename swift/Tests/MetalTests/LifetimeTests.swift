@testable import Metal
import XCTest

/// Objects that go, handlers that call back, programs that go on where they should not, damaged files.
final class LifetimeTests: XCTestCase {
  private let one = MTLSize(width: 1, height: 1, depth: 1)

  private func resident() -> Int {
    let text = try! String(contentsOfFile: "/proc/self/statm", encoding: .utf8)
    return Int(text.split(separator: " ")[1])! * Int(sysconf(Int32(_SC_PAGESIZE)))
  }

  private func threads() -> Int { try! FileManager.default.contentsOfDirectory(atPath: "/proc/self/task").count }

  func testObjectsGoAway() throws {
    try onDevices { device in
      let run = EmulatorRun(device)
      let pipeline = try run.pipeline("kernel void k(device uint *x) { x[0]++; }")
      let x = run.buffer([UInt32(0)])
      func makeAll(_ count: Int) {
        for _ in 0..<count {
          autoreleasepool {
            let queue = device.makeCommandQueue()!
            let event = device.makeSharedEvent()!
            let commands = queue.makeCommandBuffer()!
            commands.addCompletedHandler { _ in _ = event.signaledValue }
            commands.encodeSignalEvent(event, value: 1)
            commands.commit()
            commands.waitUntilCompleted()
            _ = run.queue.makeCommandBuffer()?.makeBlitCommandEncoder()
            _ = device.makeBuffer(length: 4096, options: .storageModePrivate)
            run.run(pipeline, [x], threads: one, threadgroup: one)
          }
        }
      }
      let rounds = metalEngineName(device) == "emulator" ? 2000 : 200
      makeAll(rounds)
      let (before, threadsBefore) = (resident(), threads())
      makeAll(rounds)
      XCTAssertLessThan(resident() - before, 4 << 20)
      let end = Date().addingTimeInterval(10)
      while threads() > threadsBefore + 8, Date() < end { usleep(1000) }
      XCTAssertLessThanOrEqual(threads(), threadsBefore + 8)
      XCTAssertEqual(run.values(x, of: UInt32.self), [UInt32(2 * rounds)])
    }
  }

  func testPipelinesGoAway() throws {
    let run = EmulatorRun(EmulatorRun.checked)
    let source = "kernel void k(device uint *x) { threadgroup uint t[64]; t[0] = x[0]; x[0] = t[0] + 1; }"
    let x = run.buffer([UInt32(0)])
    func makeAll(_ count: Int) throws {
      for _ in 0..<count { run.run(try run.pipeline(source), [x], threads: one, threadgroup: one) }
    }
    try makeAll(50)
    let before = resident()
    try makeAll(200)
    XCTAssertLessThan(resident() - before, 4 << 20)
    XCTAssertEqual(run.values(x, of: UInt32.self), [250])
  }

  func testAHandlerCanWaitForAPlace() {
    onDevices { device in
      let queue = device.makeCommandQueue(maxCommandBufferCount: 2)!
      let done = expectation(description: "handler")
      let (first, second) = (queue.makeCommandBuffer()!, queue.makeCommandBuffer()!)
      first.addCompletedHandler { _ in
        // The second's own end comes after this handler.
        let more = [queue.makeCommandBuffer(), queue.makeCommandBuffer()]
        XCTAssertEqual(more.compactMap { $0 }.count, 2)
        done.fulfill()
      }
      second.addCompletedHandler { _ in }
      first.commit()
      second.commit()
      wait(for: [done], timeout: 10)
      second.waitUntilCompleted()
    }
  }

  func testADeallocatorCanCallBack() {
    onDevices { device in
      let page = Int(sysconf(Int32(_SC_PAGESIZE)))
      let memory = UnsafeMutableRawPointer.allocate(byteCount: page, alignment: page)
      let queue = device.makeCommandQueue()!
      let commands = queue.makeCommandBuffer()!
      let freed = expectation(description: "freed")
      weak var seen = commands
      var buffer = device.makeBuffer(bytesNoCopy: memory, length: page, options: []) { pointer, _ in
        _ = seen?.status
        _ = queue.makeCommandBuffer()
        pointer.deallocate()
        freed.fulfill()
      }
      XCTAssertNotNil(buffer)
      let blit = commands.makeBlitCommandEncoder()!
      blit.fill(buffer: buffer!, range: 0..<4, value: 1)
      blit.fill(buffer: buffer!, range: 0..<(page + 1), value: 1)  // nothing of it runs
      blit.endEncoding()
      buffer = nil
      commands.commit()
      commands.waitUntilCompleted()
      XCTAssertEqual(commands.status, .error)
      wait(for: [freed], timeout: 10)
    }
  }

  func testCommandsAfterTheCommitComeTooLate() throws {
    try onDevices { device in
      let run = EmulatorRun(device)
      let pipeline = try run.pipeline("kernel void k(device uint *x) { x[0]++; }")
      let x = run.buffer([UInt32(0)])
      let commands = run.queue.makeCommandBuffer()!
      let encoder = commands.makeComputeCommandEncoder()!
      encoder.setComputePipelineState(pipeline)
      encoder.setBuffer(x, offset: 0, index: 0)
      commands.commit()
      for _ in 0..<100 { encoder.dispatchThreads(one, threadsPerThreadgroup: one) }
      commands.waitUntilCompleted()
      encoder.dispatchThreads(one, threadsPerThreadgroup: one)
      encoder.endEncoding()
      XCTAssertEqual(commands.status, .error)
      XCTAssertEqual(run.values(x, of: UInt32.self), [0])
    }
  }

  func testAGridOfAllTooManyThreadsIsRefused() throws {
    try onDevices { device in
      let run = EmulatorRun(device)
      let pipeline = try run.pipeline("kernel void k(device uint *x) { x[0]++; }")
      let message = run.run(
        pipeline, [run.buffer([UInt32(0)])], threads: MTLSizeMake(1 << 22, 1 << 21, 1 << 21), threadgroup: one)
      XCTAssert(message?.contains("has more than 2⁶³") == true, message ?? "nil")
    }
  }

  func testLabelsMayLookLikePlaces() throws {
    let run = EmulatorRun(EmulatorRun.checked)
    let pipeline = try run.pipeline(
      "kernel void k(device uint *x, uint i [[thread_position_in_grid]]) { if (i) threadgroup_barrier(mem_flags::mem_none); }")
    let message = run.run(pipeline, [run.buffer([UInt32(0)])], threads: size(2), threadgroup: size(2)) {
      $0.label = "a@b @{ @{7} @{}"
    }
    XCTAssert(message?.contains("(in a@b @{ @{7} @{})") == true, message ?? "nil")
    XCTAssert(message?.contains("threadgroup_barrier at program_source:3:") == true, message ?? "nil")
  }

  func testCompilationsRunBesideEachOther() {
    let device = EmulatorRun.checked
    let (first, second) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    let met = expectation(description: "both at once")
    met.expectedFulfillmentCount = 2
    for (own, other) in [(first, second), (second, first)] {
      device.later {
        own.signal()
        return other.wait(timeout: .now() + 5) == .success
      } then: { isMet, _ in
        if isMet == true { met.fulfill() }
      }
    }
    wait(for: [met], timeout: 10)
  }

  func testTheCompilerGetsNoneOfTheHostsFilesAndSignals() throws {
    let file = open("/dev/null", O_RDONLY)
    defer { close(file) }
    let log = NSTemporaryDirectory() + "/child-\(getpid()).log"
    let script = "grep SigIgn /proc/self/status; for f in /proc/$$/fd/*; do echo ${f##*/}; done; exit 3"
    signal(SIGUSR2, SIG_IGN)
    defer { signal(SIGUSR2, SIG_DFL) }
    let result = try ChildProcess.run("/bin/sh", ["-c", script], log: log)
    XCTAssertEqual(result.status, 3)
    let lines = result.output.split(separator: "\n").map(String.init)
    XCTAssert(lines.first?.hasSuffix("\t0000000000000000") == true, result.output)
    XCTAssertFalse(lines.contains("\(file)"), result.output)
    XCTAssertNotEqual(access(log, F_OK), 0)
  }

  func testDamagedKernelFilesAreNotRead() throws {
    let folder = NSTemporaryDirectory() + "/kernel-files-\(getpid())"
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let (files, other) = (KernelFiles(folder), KernelFiles(folder))
    XCTAssertNotEqual(files.temporaryPath("a"), other.temporaryPath("a"), "two processes of one number")
    let content = (0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    XCTAssertNil(files.read("a"))
    XCTAssert(files.write("a", content))
    XCTAssertEqual(other.read("a"), content)
    let whole = try Data(contentsOf: URL(fileURLWithPath: files.path("a")))
    var flipped = whole
    flipped[5000] ^= 1
    for damaged in [whole.dropLast(1), whole.prefix(5000), Data(), flipped, whole + [0], Data(repeating: 0, count: whole.count)] {
      try damaged.write(to: URL(fileURLWithPath: files.path("a")))
      XCTAssertNil(files.read("a"))
    }
    XCTAssert(other.write("a", content))
    XCTAssertEqual(files.read("a"), content)
    XCTAssertEqual(try FileManager.default.contentsOfDirectory(atPath: folder), ["a"])
  }
}
