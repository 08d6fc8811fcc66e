import CPUKernels
import XCTest

/// Kernels of product quantizers, of every table that runs here, against plain loops.
final class ProductTests: XCTestCase {
  /// d, m, nbits, codes: one part, indices across bytes, parts that fill no vector, wide indices, a short last block.
  private let shapes = [(1, 1, 1, 1), (8, 4, 4, 63), (8, 2, 8, 257), (48, 3, 5, 200), (34, 17, 8, 300), (16, 8, 12, 70)]

  private var tables: [UnsafePointer<cpu_kernels>] {
    var found = [UnsafePointer<cpu_kernels>?](repeating: nil, count: 8)
    let count = cpu_tables(&found, 8)
    return found.prefix(Int(count)).compactMap { $0 }
  }

  private var state: UInt64 = 7

  private func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state >> 33
  }

  private func random(_ count: Int) -> [Float] { (0..<count).map { _ in Float(next() % 2001) / 1000 - 1 } }

  private func forEachShape(_ body: (UnsafePointer<cpu_kernels>, inout cpu_pq, [UInt8], Int) -> Void) {
    for (d, m, nbits, n) in shapes {
      let centroids = random(d << nbits)
      var columns = [Float](repeating: 0, count: Int(cpu_pq_columns(UInt32(m), UInt32(nbits), UInt32(d / m))))
      let size = (m * nbits + 7) / 8
      let codes = (0..<n * size).map { _ in UInt8(truncatingIfNeeded: next()) }
      for table in tables {
        centroids.withUnsafeBufferPointer { centroids in
          columns.withUnsafeMutableBufferPointer { columns in
            var pq = cpu_pq()
            (pq.d, pq.m, pq.nbits, pq.dsub) = (UInt32(d), UInt32(m), UInt32(nbits), UInt32(d / m))
            (pq.ksub, pq.code_size, pq.centroids) = (1 << UInt32(nbits), UInt64(size), centroids.baseAddress)
            cpu_pq_prepare(&pq, columns.baseAddress)
            body(table, &pq, codes, n)
          }
        }
      }
    }
  }

  private func pack(_ table: UnsafePointer<cpu_kernels>, _ pq: inout cpu_pq, _ codes: [UInt8], _ n: Int) -> [UInt8] {
    var blocks = [UInt8](repeating: 0xee, count: cpu_pq_chunk_bytes(&pq, UInt64(n)))
    blocks.withUnsafeMutableBytes { room in
      var chunk = cpu_pq_chunk(n: UInt32(n), positions: nil, first: 0, centroid: nil, blocks: room.baseAddress)
      cpu_pq_pack(table, &pq, codes, &chunk)
    }
    return blocks
  }

  func testSumsOfTablesAreDistancesOfDecodedRows() {
    forEachShape { table, pq, codes, n in
      let (d, block) = (Int(pq.d), Int(CPU_PQ_BLOCK))
      var rows = [Float](repeating: 0, count: n * d)
      cpu_pq_decode(&pq, codes, UInt64(n), nil, &rows)
      let blocks = pack(table, &pq, codes, n)
      let query = random(d)
      for inner in [false, true] {
        var entries = [Float](repeating: 0, count: Int(pq.m * pq.stride))
        table.pointee.pq.pointee.tables(&pq, inner, 1, query, &entries)
        let bytes = blocks.count / ((n + block - 1) / block)
        for from in stride(from: 0, to: n, by: block) {
          var sums = [Float](repeating: 0, count: block)
          blocks.withUnsafeBytes { table.pointee.pq.pointee.sums(&pq, entries, $0.baseAddress! + from / block * bytes, &sums) }
          for i in 0..<min(block, n - from) {
            var wanted: Float = 0
            for j in 0..<d {
              let (a, b) = (query[j], rows[(from + i) * d + j])
              wanted += inner ? -a * b : (a - b) * (a - b)
            }
            XCTAssertEqual(sums[i], wanted, accuracy: 1e-4, "\(String(cString: table.pointee.name)), d \(d)")
          }
        }
      }
    }
  }

  func testFilterAddsBytesUp() {
    forEachShape { table, pq, codes, n in
      let filter = cpu_pq_kernels_of(table).filter
      guard let filter, pq.nbits <= 8 else { return }
      let (m, block) = (Int(pq.m), Int(CPU_PQ_BLOCK))
      let blocks = pack(table, &pq, codes, n)
      var entries = [Float](repeating: 0, count: Int(pq.m * pq.stride))
      table.pointee.pq.pointee.tables(&pq, false, 1, random(Int(pq.d)), &entries)
      var (least, lowest, size) = ([Float](repeating: 0, count: m), 0.0, 0.0)
      table.pointee.pq.pointee.extremes(&pq, entries, &least, &lowest, &size)
      var bytes = [UInt8](repeating: 0, count: m * 256)
      table.pointee.pq.pointee.round(&pq, entries, least, 100, &bytes)
      let stride = Int(pq.stride)
      for p in 0..<m {
        let part = entries[p * stride..<p * stride + Int(pq.ksub)]
        XCTAssertEqual(least[p], part.min()!)
        for (j, entry) in part.enumerated() {
          XCTAssertEqual(bytes[p * 256 + j], UInt8(min(255, (entry - least[p]) * 100)))
        }
      }
      let count = (n + block - 1) / block
      for limit in [0, 1, 100, 255, 256, 1000, 4335] {
        var masks = [UInt64](repeating: 0, count: count)
        filter(blocks, UInt32(count), UInt32(m), bytes, UInt32(limit), &masks)
        for i in 0..<n {
          var sum = 0
          for p in 0..<m { sum += Int(bytes[p * 256 + Int(blocks[(i / block * m + p) * block + i % block])]) }
          XCTAssertEqual(masks[i / block] >> UInt64(i % block) & 1 == 1, sum <= limit, "code \(i), sum \(sum)")
        }
      }
    }
  }

  func testNearestIsTheFirstOfTheLeast() {
    forEachShape { table, pq, codes, n in
      let dsub = Int(pq.dsub)
      for p in 0..<Int(pq.m) {
        // Centroids themselves: at distance 0, the first where some are the same.
        let all = (0..<Int(pq.ksub)).map { k in
          (0..<dsub).map { pq.centroids[(p * Int(pq.ksub) + k) * dsub + $0] }
        }
        for k in stride(from: 0, to: all.count, by: max(1, all.count / 7)) {
          XCTAssertEqual(Int(table.pointee.pq.pointee.nearest(&pq, UInt32(p), all[k])), all.firstIndex(of: all[k])!)
        }
      }
    }
  }
}
