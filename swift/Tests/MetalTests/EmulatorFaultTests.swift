import XCTest

@testable import Metal

/// Each kind of fault, planted, is caught with kernel, argument and thread, and the process goes on.
final class EmulatorFaultTests: XCTestCase {
  private let run = EmulatorRun(EmulatorRun.checked)
  private let parameters = """
    device float *out [[buffer(0)]], constant float *in [[buffer(1)]], constant uint &n [[buffer(2)]],
    uint at [[thread_position_in_grid]], uint lane [[thread_index_in_threadgroup]]
    """

  /// The error of a kernel of 1,000 threads in threadgroups of 64 over buffers of 1,000.
  private func fault(_ body: String) throws -> String? {
    let out = run.poisoned(1000)
    let input = run.buffer([Float](repeating: 1, count: 1000))
    let pipeline = try run.pipeline("kernel void k(\(parameters)) {\n\(body)\n}")
    return run.run(pipeline, [out, input], threads: size(1000), threadgroup: size(64)) {
      $0.setBytes([UInt32(1000)], length: 4, index: 2)
    }
  }

  private func check(_ body: String, _ wanted: String..., file: StaticString = #filePath, line: UInt = #line) throws {
    let message = try fault(body)
    for text in ["kernel \"k\""] + wanted {
      XCTAssert(message?.contains(text) == true, "\"\(text)\" is not in \(message ?? "nil")", file: file, line: line)
    }
    // What follows is not hurt.
    XCTAssertNil(try fault("out[at] = in[at];"), file: file, line: line)
  }

  // MARK: bounds

  func testWritePastTheEnd() throws {
    try check(
      "out[at + 1] = 0;", "writes 4 bytes at offset 4000 of argument \"out\" [[buffer(0)]], which has 4000 bytes",
      "thread (999, 0, 0), which is (39, 0, 0) of threadgroup (15, 0, 0)")
  }

  func testWriteFarPastTheEnd() throws {
    try check("out[at == 70 ? 500000000 : at] = 0;", "writes 4 bytes at offset 2000000000 of argument \"out\"", "thread (70, 0, 0)")
  }

  func testReadPastTheEnd() throws {
    try check("out[at] = in[at == 3 ? n : at];", "reads 4 bytes at offset 4000 of argument \"in\" [[buffer(1)]]", "thread (3, 0, 0)")
  }

  func testNegativeIndex() throws {
    try check("out[at] = in[int(at) - 1];", "reads 4 bytes at offset -4 of argument \"in\"", "thread (0, 0, 0)")
  }

  func testReferenceToOneValue() throws {
    try check(
      "out[at] = (&n)[at == 9];", "reads 4 bytes at offset 4 of argument \"n\" [[buffer(2)]], which has 4 bytes",
      "thread (9, 0, 0)")
  }

  func testOffsetBindsTheRest() throws {
    let pipeline = try run.pipeline("kernel void k(device float *x [[buffer(0)]]) { x[-1] = 0; }")
    let x = run.poisoned(100)
    let message = run.run(pipeline, [], threads: size(1), threadgroup: size(1)) { $0.setBuffer(x, offset: 16, index: 0) }
    let wanted = "writes 4 bytes at offset -4 of argument \"x\" [[buffer(0)]], which has 384 bytes"
    XCTAssert(message?.contains(wanted) == true, message ?? "nil")
  }

  func testVectorsAndCopiesAreChecked() throws {
    for (type, bytes) in [("float4", 16), ("half4", 8), ("float2", 8), ("uchar", 1), ("float4x4", 64), ("packed_float3", 12)] {
      let pipeline = try run.pipeline(
        """
        kernel void k(device \(type) *out [[buffer(0)]], device const \(type) *in [[buffer(1)]], uint at [[thread_position_in_grid]]) {
          out[at] = in[at];
        }
        """)
      for (short, verb) in [(0, "writes"), (1, "reads")] {
        let buffers = [0, 1].map { run.buffer([UInt8](repeating: 0, count: bytes * ($0 == short ? 31 : 32))) }
        let message = run.run(pipeline, buffers, threads: size(32), threadgroup: size(32))
        let wanted = "of argument \"\(short == 0 ? "out" : "in")\""
        XCTAssert(message?.contains(verb) == true && message?.contains(wanted) == true, "\(type): \(message ?? "nil")")
        XCTAssert(message?.contains("thread (31, 0, 0)") == true, "\(type): \(message ?? "nil")")
      }
    }
  }

  func testWriteToConstant() throws {
    try check(
      "*(device float *)(in + at) = 1;", "writes 4 bytes at offset 0 of argument \"in\" [[buffer(1)]], which is constant",
      "thread (0, 0, 0)")
  }

  func testAtomicPastTheEnd() throws {
    try check(
      "atomic_fetch_add_explicit((device atomic_uint *)(out + n), 1, memory_order_relaxed);",
      "atomically changes 4 bytes at offset 4000 of argument \"out\"", "thread (0, 0, 0)")
  }

  func testThreadgroupArgumentPastTheEnd() throws {
    let pipeline = try run.pipeline(
      """
      kernel void k(device float *out [[buffer(0)]], threadgroup float *a [[threadgroup(0)]], threadgroup float *b [[threadgroup(1)]],
                    uint lane [[thread_index_in_threadgroup]]) {
        b[lane] = 1;
        a[lane + 1] = 2;
        out[lane] = b[lane];
      }
      """)
    let message = run.run(pipeline, [run.poisoned(32)], threads: size(32), threadgroup: size(32)) {
      $0.setThreadgroupMemoryLength(128, index: 0)
      $0.setThreadgroupMemoryLength(128, index: 1)
    }
    let wanted = "writes 4 bytes at offset 128 of argument \"a\" [[threadgroup(0)]], which has 128 bytes"
    XCTAssert(message?.contains(wanted) == true, message ?? "nil")
    XCTAssert(message?.contains("thread (31, 0, 0)") == true)
  }

  func testThreadgroupVariablePastTheEnd() throws {
    try check(
      "threadgroup float x[64]; x[lane] = 1; out[at] = x[lane + 64];",
      "reads 4 bytes at offset 256 of threadgroup variable \"x\", which has 256 bytes", "thread (0, 0, 0)")
  }

  // MARK: barriers

  func testBarrierInOneBranch() throws {
    try check(
      """
      if (lane < 7) threadgroup_barrier(mem_flags::mem_none);
      else
        threadgroup_barrier(mem_flags::mem_none);
      """, "threadgroup_barrier at program_source:", "thread (0, 0, 0)", "thread (7, 0, 0) waits at threadgroup_barrier at program_source:")
  }

  func testBarrierThatSomeNeverReach() throws {
    try check(
      "if (lane == 9) return;\nthreadgroup_barrier(mem_flags::mem_none);", "threadgroup_barrier at program_source:",
      "thread (9, 0, 0) has ended")
  }

  func testSimdgroupBarrierThatSomeNeverReach() throws {
    try check(
      "if (lane == 40) simdgroup_barrier(mem_flags::mem_none);\nthreadgroup_barrier(mem_flags::mem_none);",
      "simdgroup_barrier at program_source:", "thread (40, 0, 0)", "thread (32, 0, 0) waits at threadgroup_barrier")
  }

  // MARK: races

  func testTwoThreadsWriteOneWord() throws {
    try check(
      "threadgroup float x; x = lane; threadgroup_barrier(mem_flags::mem_threadgroup); out[at] = x;",
      "a race on threadgroup memory: thread (1, 0, 0) writes offset 0 of threadgroup variable \"x\"", "which thread (0, 0, 0) wrote")
  }

  func testReadOfWhatAnotherThreadWrites() throws {
    try check(
      "threadgroup float x[64]; x[lane] = at; out[at] = x[lane ^ 1];", "thread (1, 0, 0) writes offset 4 of",
      "which thread (0, 0, 0) read, with no barrier between them")
  }

  func testWriteAfterTheOthersRead() throws {
    try check(
      """
      threadgroup float x[64];
      x[lane] = at;
      threadgroup_barrier(mem_flags::mem_threadgroup);
      float y = x[63 - lane];
      x[lane] = y;
      out[at] = y;
      """, "a race on threadgroup memory", "with no barrier between them")
  }

  func testSimdgroupBarrierIsNotEnoughAcrossSimdgroups() throws {
    try check(
      "threadgroup float x[64]; x[lane] = at; simdgroup_barrier(mem_flags::mem_threadgroup); out[at] = x[lane ^ 32];",
      "a race on threadgroup memory: thread (32, 0, 0) writes offset 128 of", "which thread (0, 0, 0) read")
  }

  func testPlainReadOfAnAtomic() throws {
    try check(
      """
      threadgroup atomic_uint count;
      atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
      out[at] = *(threadgroup uint *)&count;
      """, "a race on threadgroup memory: thread (1, 0, 0)", "atomically change")
  }

  // MARK: others

  func testShuffleFromAThreadThatIsNotThere() throws {
    try check(
      "out[at] = lane & 1 ? simd_shuffle(in[at], 2) : 0;", "simdgroup operation at program_source:", "reads lane 2", "thread (1, 0, 0)")
  }

  func testThreadgroupMemoryStartsPoisoned() throws {
    let out = run.poisoned(64)
    let pipeline = try run.pipeline(
      """
      kernel void k(device uint *out [[buffer(0)]], uint at [[thread_position_in_grid]]) {
        threadgroup uint x[64];
        out[at] = x[at];
      }
      """)
    XCTAssertNil(run.run(pipeline, [out], threads: size(64), threadgroup: size(64)))
    XCTAssertEqual(run.values(out, of: UInt32.self), [UInt32](repeating: .max, count: 64))
  }

  func testDivisionByZero() throws {
    try check("out[at] = 100 / (int(n) - int(at) - 900);", "divides an integer by zero", "thread (100, 0, 0)")
  }

  func testUnsetArgument() throws {
    let pipeline = try run.pipeline("kernel void k(\(parameters)) { out[at] = in[at]; }")
    let message = run.run(pipeline, [run.poisoned(10)], threads: size(10), threadgroup: size(10)) {
      $0.setBytes([UInt32(10)], length: 4, index: 2)
    }
    for wanted in ["\"k\"", "\"in\"", "not set"] { XCTAssert(message?.contains(wanted) == true, message ?? "nil") }
  }

  func testTooMuchThreadgroupMemory() throws {
    let message = try fault(
      "threadgroup float x[8193]; x[lane] = at; threadgroup_barrier(mem_flags::mem_threadgroup); out[at] = x[lane];")
    XCTAssert(message?.contains("32772 bytes of threadgroup memory") == true, message ?? "nil")
  }

  func testTooManyThreads() throws {
    let pipeline = try run.pipeline("kernel void k(device float *out [[buffer(0)]], uint at [[thread_position_in_grid]]) { out[at] = 1; }")
    let message = run.run(pipeline, [run.poisoned(2000)], threads: size(2000), threadgroup: size(1025))
    XCTAssert(message?.contains("\"k\"") == true && message?.contains("1024") == true, message ?? "nil")
  }

  func testEmptyGrid() throws {
    let pipeline = try run.pipeline("kernel void k(device float *out [[buffer(0)]], uint at [[thread_position_in_grid]]) { out[at] = 1; }")
    let message = run.run(pipeline, [run.poisoned(1)], threads: size(0), threadgroup: size(32))
    XCTAssert(message?.contains("\"k\"") == true && message?.contains("0 × 1 × 1") == true, message ?? "nil")
  }

  func testTooLargeVariables() throws {
    let body = "float x[40000]; for (uint i = 0; i < n; i++) x[(i * 7919 + at) % 40000] = in[i]; out[at] = x[at] + x[at * 3];"
    XCTAssertThrowsError(try fault(body)) { error in
      let message = (error as! MTLLibraryError).localizedDescription
      XCTAssert(message.contains("program_source:") && message.contains("stack frame size"), message)
    }
  }

  func testCompilationNamesThePlace() throws {
    XCTAssertThrowsError(try fault("out[at] = 1;\n  out[at] = nothing;")) { error in
      let message = (error as! MTLLibraryError).localizedDescription
      XCTAssert(message.contains("program_source:6:13: error: use of undeclared identifier 'nothing'"), message)
    }
  }

  /// Whichever worker finds its fault first.
  func testTheFirstThreadgroupThatFailsIsReported() throws {
    for _ in 0..<20 {
      try check("if (at >= 128) out[at + 1000000] = 0;", "thread (128, 0, 0), which is (0, 0, 0) of threadgroup (2, 0, 0)")
    }
  }

  func testMemoryIsCounted() throws {
    let device = EmulatorRun.checked
    XCTAssertNil(device.makeBuffer(length: device.maxBufferLength + 1, options: []))
    var buffers: [any MTLBuffer] = []
    while let buffer = device.makeBuffer(length: device.maxBufferLength / 3, options: []), buffers.count < 10 { buffers.append(buffer) }
    XCTAssertLessThan(buffers.count, 4)
    buffers = []
    XCTAssertNil(try fault("out[at] = in[at];"))
  }
}
