import CPUKernels
import XCTest

/// Codes in blocks, and the kernels of every table that runs here, against the plain ones.
final class BlockTests: XCTestCase {
  /// One part, an odd one, half of the widest vector, whole vectors, parts that none divides, as many as bytes add up.
  private let parts = [1, 2, 3, 6, 8, 16, 17, 64]

  private var tables: [UnsafePointer<cpu_kernels>] {
    var found = [UnsafePointer<cpu_kernels>?](repeating: nil, count: 8)
    let count = cpu_tables(&found, 8)
    return found.prefix(Int(count)).compactMap { $0 }
  }

  private var state: UInt64 = 7

  private func next() -> Int {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return Int(state >> 33)
  }

  /// Codes by themselves; of an odd number of parts the last half is 0.
  private func codes(_ n: Int, _ layout: cpu_fast_layout) -> [UInt8] {
    let (half, size) = ((Int(layout.parts) + 1) / 2, (Int(layout.parts) + 1) / 2 + Int(layout.extra))
    return (0..<n * size).map { i in
      let isLast = layout.parts % 2 == 1 && i % size == half - 1
      return UInt8(next() & (isLast ? 15 : 255))
    }
  }

  private func blocks(_ codes: [UInt8], _ n: Int, _ layout: inout cpu_fast_layout) -> [UInt8] {
    var blocks = [UInt8](repeating: 0xee, count: cpu_fast_bytes(&layout, UInt64(n)))
    let size = cpu_fast_code_size(&layout)
    // In two parts: the second starts within a block.
    codes.withUnsafeBufferPointer { codes in
      cpu_fast_put(&layout, &blocks, 0, codes.baseAddress, UInt64(n / 2))
      cpu_fast_put(&layout, &blocks, UInt64(n / 2), codes.baseAddress! + n / 2 * size, UInt64(n - n / 2))
    }
    return blocks
  }

  func testCodesComeOutOfBlocksAsTheyWentIn() {
    for parts in parts {
      for (n, extra) in [(1, 0), (31, 8), (32, 3), (100, 0)] {
        var layout = cpu_fast_layout(parts: UInt32(parts), extra: UInt32(extra))
        let codes = codes(n, layout)
        var blocks = blocks(codes, n, &layout)
        var back = [UInt8](repeating: 0, count: codes.count)
        cpu_fast_get(&layout, blocks, 0, UInt64(n), &back)
        XCTAssertEqual(back, codes, "\(parts) parts, \(n) codes")
        cpu_fast_move(&layout, &blocks, 0, UInt64(n - 1))
        let size = cpu_fast_code_size(&layout)
        var moved = [UInt8](repeating: 0, count: size)
        cpu_fast_get(&layout, blocks, 0, 1, &moved)
        XCTAssertEqual(moved, Array(codes.suffix(size)))
      }
    }
  }

  func testKernelsFindWhatPlainLoopsDo() {
    let plain = cpu_fast_table(tables.last!)!
    for parts in parts {
      for n in [30, 64, 65, 200] {
        var layout = cpu_fast_layout(parts: UInt32(parts), extra: 5)
        let blocks = blocks(codes(n, layout), n, &layout)
        let count = UInt32((n + 31) / 32)
        let bytes = (0..<4).map { q -> [UInt8] in
          let most = q == 3 ? 256 : 512 / parts + 1
          return (0..<cpu_fast_table_bytes(UInt32(parts))).map { $0 < 16 * parts ? UInt8(next() % min(256, most)) : 0 }
        }
        let limits = (0..<4).map { _ in UInt8(next() % 255) }
        let floats = (0..<16 * parts).map { _ in Float(next() % 10_000) / 100 }
        let least = [Float](repeating: 0, count: parts)
        for table in tables {
          let kernels = cpu_fast_table(table)!
          for nq in 1...4 {
            XCTAssertEqual(
              hits(kernels, blocks, &layout, count, bytes, nq, limits),
              hits(plain, blocks, &layout, count, bytes, nq, limits), "\(parts) parts, \(n) codes, \(nq) tables")
          }
          let (ours, theirs) = (sums(kernels, blocks, &layout, count, bytes[3]), sums(plain, blocks, &layout, count, bytes[3]))
          XCTAssertEqual(ours, theirs, "\(parts) parts, \(n) codes")
          var rounded = [[UInt8]](repeating: [UInt8](repeating: 0, count: 16 * parts), count: 2)
          kernels.pointee.round(UInt32(parts), floats, least, 3.7, &rounded[0])
          plain.pointee.round(UInt32(parts), floats, least, 3.7, &rounded[1])
          XCTAssertEqual(rounded[0], rounded[1])
        }
      }
    }
  }

  private func hits(
    _ kernels: UnsafePointer<cpu_fast_kernels>, _ blocks: [UInt8], _ layout: inout cpu_fast_layout, _ count: UInt32,
    _ bytes: [[UInt8]], _ nq: Int, _ limits: [UInt8]
  ) -> [[UInt64]] {
    let room = (Int(count) + 1) / 2
    var found = [cpu_fast_hit](repeating: cpu_fast_hit(), count: 4 * room)
    var counts = [UInt32](repeating: 0, count: 4)
    let stride = cpu_fast_stride(&layout)
    bytes[0].withUnsafeBufferPointer { a in
      bytes[1].withUnsafeBufferPointer { b in
        bytes[2].withUnsafeBufferPointer { c in
          bytes[3].withUnsafeBufferPointer { d in
            let tables = [a.baseAddress, b.baseAddress, c.baseAddress, d.baseAddress]
            kernels.pointee.filter(blocks, stride, count, layout.parts, tables, UInt32(nq), limits, &found, &counts)
          }
        }
      }
    }
    return (0..<nq).map { q in
      found[q * room..<q * room + Int(counts[q])].flatMap { [UInt64($0.block), $0.codes] }
    }
  }

  private func sums(
    _ kernels: UnsafePointer<cpu_fast_kernels>, _ blocks: [UInt8], _ layout: inout cpu_fast_layout, _ count: UInt32,
    _ bytes: [UInt8]
  ) -> [UInt16] {
    var sums = [UInt16](repeating: 0, count: Int(count) * 32)
    kernels.pointee.sums(blocks, cpu_fast_stride(&layout), count, layout.parts, bytes, &sums)
    return sums
  }
}
