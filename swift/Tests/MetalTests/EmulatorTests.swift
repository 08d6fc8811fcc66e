import XCTest

@testable import Metal

/// Correct kernels run right, with checks and without.
final class EmulatorTests: XCTestCase {
  private func numbers(_ count: Int, _ modulus: Int) -> [Float] { (0..<count).map { Float($0 * 7 % modulus) - 3 } }

  func testTiledMatrixProduct() throws {
    let source = """
      kernel void k(device const float *a [[buffer(0)]], device const float *b [[buffer(1)]], device float *c [[buffer(2)]],
                    constant uint3 &shape [[buffer(3)]], uint2 at [[thread_position_in_grid]],
                    uint2 in [[thread_position_in_threadgroup]]) {
        threadgroup float left[8][8], right[8][8];
        float sum = 0;
        for (uint i = 0; i < shape.z; i += 8) {
          left[in.y][in.x] = at.y < shape.x && i + in.x < shape.z ? a[at.y * shape.z + i + in.x] : 0;
          right[in.y][in.x] = at.x < shape.y && i + in.y < shape.z ? b[(i + in.y) * shape.y + at.x] : 0;
          threadgroup_barrier(mem_flags::mem_threadgroup);
          for (uint j = 0; j < 8; j++) sum += left[in.y][j] * right[j][in.x];
          threadgroup_barrier(mem_flags::mem_threadgroup);
        }
        if (at.y < shape.x && at.x < shape.y) c[at.y * shape.y + at.x] = sum;
      }
      """
    let (rows, columns, interior) = (37, 29, 51)
    let (a, b) = (numbers(rows * interior, 11), numbers(interior * columns, 13))
    for run in EmulatorRun.both {
      let c = run.poisoned(rows * columns)
      let shape = SIMD3<UInt32>(UInt32(rows), UInt32(columns), UInt32(interior))
      let error = run.run(
        try run.pipeline(source), [run.buffer(a), run.buffer(b), c], threads: size(32, 40), threadgroup: size(8, 8)
      ) { encoder in
        withUnsafeBytes(of: shape) { encoder.setBytes($0.baseAddress!, length: 16, index: 3) }
      }
      XCTAssertNil(error)
      let found = run.values(c)
      for row in 0..<rows {
        for column in 0..<columns {
          var wanted: Float = 0
          for i in 0..<interior { wanted += a[row * interior + i] * b[i * columns + column] }
          XCTAssertEqual(found[row * columns + column], wanted, accuracy: 1e-3)
        }
      }
    }
  }

  func testReductionOverThreadgroupMemory() throws {
    let source = """
      kernel void k(device const float *x [[buffer(0)]], device float *sums [[buffer(1)]], constant uint &n [[buffer(2)]],
                    threadgroup float *partial [[threadgroup(0)]], uint at [[thread_position_in_grid]],
                    uint lane [[thread_index_in_threadgroup]], uint threads [[threads_per_threadgroup]],
                    uint group [[threadgroup_position_in_grid]]) {
        partial[lane] = at < n ? x[at] : 0;
        for (uint half = threads / 2; half > 0; half /= 2) {
          threadgroup_barrier(mem_flags::mem_threadgroup);
          if (lane < half) partial[lane] += partial[lane + half];
        }
        if (lane == 0) sums[group] = partial[0];
      }
      """
    let x = numbers(1000, 17)
    for run in EmulatorRun.both {
      let sums = run.poisoned(8)
      let error = run.run(try run.pipeline(source), [run.buffer(x), sums], threads: size(1024), threadgroup: size(128)) {
        $0.setBytes([UInt32(1000)], length: 4, index: 2)
        $0.setThreadgroupMemoryLength(512, index: 0)
      }
      XCTAssertNil(error)
      for group in 0..<8 {
        XCTAssertEqual(run.values(sums)[group], x[(group * 128)..<min(1000, group * 128 + 128)].reduce(0, +))
      }
    }
  }

  func testSimdgroupsMeetAfterTheyBranched() throws {
    let source = """
      float total(float x) { return simd_sum(x); }
      kernel void k(device float *out [[buffer(0)]], uint at [[thread_position_in_grid]], uint lane [[thread_index_in_simdgroup]]) {
        float sum = 0;
        for (uint i = 0; i < lane % 4; i++) sum += total(1);
        if (lane & 1) sum += 1000 * total(1);
        else sum += 2000 * simd_sum(1.0f);
        out[at] = sum + 100000 * simd_sum(1.0f);
      }
      """
    for run in EmulatorRun.both {
      let out = run.poisoned(96)
      XCTAssertNil(run.run(try run.pipeline(source), [out], threads: size(96), threadgroup: size(64)))
      for (at, value) in run.values(out).enumerated() {
        // Of each four threads three run the loop once, two twice and one three times.
        let loops = [0, 24, 40, 48][at % 4]
        let branch = at & 1 == 1 ? 16_000 : 32_000
        XCTAssertEqual(value, Float(loops + branch + 3_200_000), "thread \(at)")
      }
    }
  }

  func testSimdgroupOperationsLeaveOutThreadsThatEnded() throws {
    let source = """
      kernel void k(device uint *out [[buffer(0)]], uint at [[thread_position_in_grid]]) {
        if (at % 3 == 0) return;
        out[at] = simd_sum(1u) + 100 * simd_prefix_exclusive_sum(1u);
      }
      """
    for run in EmulatorRun.both {
      let out = run.buffer([UInt32](repeating: 7, count: 32))
      XCTAssertNil(run.run(try run.pipeline(source), [out], threads: size(32), threadgroup: size(32)))
      let found = run.values(out, of: UInt32.self)
      var before: UInt32 = 0
      for at in 0..<32 {
        XCTAssertEqual(found[at], at % 3 == 0 ? 7 : 21 + 100 * before)
        if at % 3 != 0 { before += 1 }
      }
    }
  }

  func testSimdgroupBarrierOrdersItsThreads() throws {
    let source = """
      kernel void k(device float *out [[buffer(0)]], uint at [[thread_position_in_grid]], uint in [[thread_index_in_threadgroup]]) {
        threadgroup float x[64];
        x[in] = at;
        simdgroup_barrier(mem_flags::mem_threadgroup);
        out[at] = x[in ^ 31];
      }
      """
    for run in EmulatorRun.both {
      let out = run.poisoned(256)
      XCTAssertNil(run.run(try run.pipeline(source), [out], threads: size(256), threadgroup: size(64)))
      XCTAssertEqual(run.values(out), (0..<256).map { Float($0 ^ 31) })
    }
  }

  func testPartialThreadgroups() throws {
    let source = """
      kernel void k(device uint *out [[buffer(0)]], uint3 at [[thread_position_in_grid]], uint3 grid [[threads_per_grid]],
                    uint3 size [[threads_per_threadgroup]], uint3 full [[dispatch_threads_per_threadgroup]],
                    uint3 in [[thread_position_in_threadgroup]], uint index [[thread_index_in_threadgroup]],
                    uint3 group [[threadgroup_position_in_grid]], uint3 groups [[threadgroups_per_grid]]) {
        bool right = all(at == group * full + in) && index == (in.z * size.y + in.y) * size.x + in.x
            && all(size == min(full, grid - group * full)) && all(groups == (grid + full - 1) / full);
        threadgroup_barrier(mem_flags::mem_none);
        out[(at.z * grid.y + at.y) * grid.x + at.x] = right ? size.x * 10000 + size.y * 100 + size.z : 0;
      }
      """
    let shapes = [(size(100), size(32)), (size(33, 9), size(16, 4)), (size(5, 7, 9), size(4, 2, 4)), (size(3, 1, 1), size(8, 8, 8))]
    for run in EmulatorRun.both {
      for (grid, group) in shapes {
        let out = run.buffer([UInt32](repeating: 7, count: grid.width * grid.height * grid.depth))
        XCTAssertNil(run.run(try run.pipeline(source), [out], threads: grid, threadgroup: group))
        let found = run.values(out, of: UInt32.self)
        for (i, value) in found.enumerated() {
          let at = [i % grid.width, i / grid.width % grid.height, i / grid.width / grid.height]
          let (all, full) = ([grid.width, grid.height, grid.depth], [group.width, group.height, group.depth])
          var wanted = 0
          for axis in 0..<3 {
            let start = at[axis] / full[axis] * full[axis]
            wanted = wanted * 100 + min(full[axis], all[axis] - start)
          }
          XCTAssertEqual(Int(value), wanted, "grid \(all), thread \(at)")
        }
      }
    }
  }

  func testAtomicsAcrossThreadgroups() throws {
    let source = """
      kernel void k(device atomic_uint *count [[buffer(0)]], device atomic_float *sum [[buffer(1)]], uint at [[thread_position_in_grid]],
                    uint in [[thread_index_in_threadgroup]]) {
        threadgroup atomic_uint here;
        if (in == 0) atomic_store_explicit(&here, 0, memory_order_relaxed);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        atomic_fetch_add_explicit(&here, at & 1, memory_order_relaxed);
        threadgroup_barrier(mem_flags::mem_threadgroup);
        if (in == 0) atomic_fetch_add_explicit(count, atomic_load_explicit(&here, memory_order_relaxed), memory_order_relaxed);
        atomic_fetch_add_explicit(sum, 0.5f, memory_order_relaxed);
      }
      """
    for run in EmulatorRun.both {
      let (count, sum) = (run.buffer([UInt32(0)]), run.buffer([Float(0)]))
      XCTAssertNil(run.run(try run.pipeline(source), [count, sum], threads: size(10_000), threadgroup: size(64)))
      XCTAssertEqual(run.values(count, of: UInt32.self), [5000])
      XCTAssertEqual(run.values(sum), [5000])
    }
  }

  func testLargestThreadgroupWaits() throws {
    let source = """
      kernel void k(device float *out [[buffer(0)]], uint at [[thread_position_in_grid]], uint in [[thread_index_in_threadgroup]]) {
        threadgroup float x[1024];
        float value = at;
        for (uint i = 0; i < 5; i++) {
          x[in] = value;
          threadgroup_barrier(mem_flags::mem_threadgroup);
          value = x[(in + 1) % 1024];
          threadgroup_barrier(mem_flags::mem_threadgroup);
        }
        out[at] = value;
      }
      """
    for run in EmulatorRun.both {
      let out = run.poisoned(2048)
      XCTAssertNil(run.run(try run.pipeline(source), [out], threads: size(2048), threadgroup: size(1024)))
      for (at, value) in run.values(out).enumerated() {
        XCTAssertEqual(Int(value), at / 1024 * 1024 + (at + 5) % 1024)
      }
    }
  }

  /// Words used by parts are not races between those who use the parts.
  func testThreadgroupMemoryByBytes() throws {
    let source = """
      kernel void k(device uint *out [[buffer(0)]], uint in [[thread_index_in_threadgroup]]) {
        threadgroup uchar bytes[64];
        threadgroup half halves[64];
        bytes[in] = in;
        halves[in] = in;
        threadgroup_barrier(mem_flags::mem_threadgroup);
        out[in] = bytes[63 - in] + 100 * uint(halves[in ^ 1]);
      }
      """
    for run in EmulatorRun.both {
      let out = run.buffer([UInt32](repeating: 0, count: 64))
      XCTAssertNil(run.run(try run.pipeline(source), [out], threads: size(64), threadgroup: size(64)))
      for (at, value) in run.values(out, of: UInt32.self).enumerated() { XCTAssertEqual(Int(value), 63 - at + 100 * (at ^ 1)) }
    }
  }

  func testQueuesWaitForEachOther() throws {
    let source = """
      kernel void k(device float *x [[buffer(0)]], uint at [[thread_position_in_grid]]) { x[at] = x[at] * 2 + 1; }
      """
    for run in EmulatorRun.both {
      let pipeline = try run.pipeline(source)
      let other = run.device.makeCommandQueue()!
      let event = run.device.makeEvent()!
      let x = run.buffer([Float](repeating: 1, count: 100))
      func encode(_ commands: any MTLCommandBuffer) {
        let encoder = commands.makeComputeCommandEncoder()!
        encoder.setComputePipelineState(pipeline)
        encoder.setBuffer(x, offset: 0, index: 0)
        encoder.dispatchThreads(size(100), threadsPerThreadgroup: size(32))
        encoder.endEncoding()
      }
      let second = other.makeCommandBuffer()!
      second.encodeWaitForEvent(event, value: 1)
      encode(second)
      second.commit()
      let first = run.queue.makeCommandBuffer()!
      let blit = first.makeBlitCommandEncoder()!
      blit.fill(buffer: x, range: 0..<200, value: 0)
      blit.endEncoding()
      encode(first)
      first.encodeSignalEvent(event, value: 1)
      first.commit()
      second.waitUntilCompleted()
      XCTAssertEqual(run.values(x), [Float](repeating: 3, count: 50) + [Float](repeating: 7, count: 50))
    }
  }

  /// Without checks such kernels do what they do, but they end.
  func testBarriersThatSomeNeverReachEndWithoutChecks() throws {
    let source = """
      kernel void k(device float *out [[buffer(0)]], uint at [[thread_position_in_grid]]) {
        if (at % 3 == 0) threadgroup_barrier(mem_flags::mem_none);
        if (at % 5 == 0) simdgroup_barrier(mem_flags::mem_none);
        if (at % 7 == 0) return;
        threadgroup_barrier(mem_flags::mem_none);
        out[at] = simd_sum(1.0f) > 0 ? at : 0;
      }
      """
    let run = EmulatorRun(EmulatorRun.unchecked)
    let out = run.poisoned(200)
    XCTAssertNil(run.run(try run.pipeline(source), [out], threads: size(200), threadgroup: size(100)))
    for (at, value) in run.values(out).enumerated() where at % 7 != 0 { XCTAssertEqual(Int(value), at) }
  }

  func testMatrixProductsOfTheEngine() throws {
    let engine = EmulatorEngine(checks: true, threads: 2)
    let (rows, columns, interior) = (70, 530, 140)
    func product(_ element: EngineMultiply.Element, _ transposes: (Bool, Bool)) throws {
      func matrix(_ rows: Int, _ columns: Int, _ modulus: Int) throws -> (EngineMultiply.Matrix, [[Float]]) {
        let width = element == .float32 ? 4 : 2
        let memory = try engine.allocate(rows * (columns + 3) * width + 16, .shared)
        let matrix = EngineMultiply.Matrix(memory: memory, offset: 16, rowBytes: (columns + 3) * width, element: element)
        let values = (0..<rows).map { row in (0..<columns).map { Float((row * 31 + $0 * 17) % modulus) - 2 } }
        for (row, numbers) in values.enumerated() {
          let start = memory.contents! + 16 + row * matrix.rowBytes
          for (column, number) in numbers.enumerated() {
            if element == .float32 {
              start.storeBytes(of: number, toByteOffset: column * 4, as: Float.self)
            } else {
              start.storeBytes(of: halfBits(number), toByteOffset: column * 2, as: UInt16.self)
            }
          }
        }
        return (matrix, values)
      }
      let (left, a) = try transposes.0 ? matrix(interior, rows, 5) : matrix(rows, interior, 5)
      let (right, b) = try transposes.1 ? matrix(columns, interior, 7) : matrix(interior, columns, 7)
      let (result, c) = try matrix(rows, columns, 3)
      let multiply = EngineMultiply(
        left: left, right: right, result: result, transposeLeft: transposes.0, transposeRight: transposes.1, rows: rows,
        columns: columns, interior: interior, alpha: 0.5, beta: 2)
      try multiply.run(on: engine.pool)
      for row in 0..<rows {
        for column in 0..<columns {
          var sum: Float = 0
          for i in 0..<interior {
            sum += (transposes.0 ? a[i][row] : a[row][i]) * (transposes.1 ? b[column][i] : b[i][column])
          }
          let wanted = 0.5 * sum + 2 * c[row][column]
          let at = result.memory.contents! + 16 + row * result.rowBytes
          if element == .float32 {
            XCTAssertEqual(at.load(fromByteOffset: column * 4, as: Float.self), wanted)
          } else {
            XCTAssertEqual(at.load(fromByteOffset: column * 2, as: UInt16.self), halfBits(wanted))
          }
        }
      }
    }
    for transposes in [(false, false), (true, false), (false, true), (true, true)] { try product(.float32, transposes) }
    try product(.float16, (false, true))
  }
}

/// A number that half can hold, as its bits.
private func halfBits(_ value: Float) -> UInt16 {
  if value == 0 { return 0 }
  let bits = value.bitPattern
  let exponent = Int(bits >> 23 & 0xff) - 127 + 15
  precondition(exponent > 0 && exponent < 31 && bits & 0x1fff == 0)
  return UInt16(bits >> 16 & 0x8000) | UInt16(exponent) << 10 | UInt16(bits >> 13 & 0x3ff)
}
