import CPUKernels
import XCTest

/// Every table that runs here against its plain twin, over shapes that straddle vectors and tiles.
final class KernelTests: XCTestCase {
  private let dimensions: [Int] = [1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 100]

  private var tables: [UnsafePointer<cpu_kernels>] {
    var found = [UnsafePointer<cpu_kernels>?](repeating: nil, count: 8)
    let count = cpu_tables(&found, 8)
    return found.prefix(Int(count)).compactMap { $0 }
  }

  private var state: UInt64 = 42

  private func random(_ count: Int, offset: Float = 0) -> [Float] {
    (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(state >> 40) / Float(1 << 23) - 1 + offset
    }
  }

  func testScalarIsTheLastTable() {
    XCTAssertEqual(String(cString: tables.last!.pointee.name), "scalar")
  }

  func testPairIsTheSameNumberEverywhere() {
    let scalar = tables.last!
    for metric: UInt32 in [0, 1, 2, 3, 4, 20, 21, 22, 23, 24, 100] {
      for d in dimensions {
        let x = random(d, offset: 1.5)
        let y = random(d, offset: 1.5)
        let wanted = scalar.pointee.pair(metric, 3, x, y, UInt32(d))
        for table in tables {
          XCTAssertEqual(table.pointee.pair(metric, 3, x, y, UInt32(d)), wanted, "metric \(metric), d \(d)")
        }
      }
    }
  }

  func testPackTransposesCentresAndScales() {
    for table in tables {
      for d in dimensions {
        for n in 1...Int(table.pointee.panel) where n % 3 == 1 || n == Int(table.pointee.panel) {
          let x = random(n * d)
          let center = random(d)
          let scale = random(n)
          let width = Int(table.pointee.panel)
          var out = [Float](repeating: .nan, count: width * d + 64)
          var squares = [Float](repeating: .nan, count: n)
          var products = [Float](repeating: .nan, count: n)
          x.withUnsafeBufferPointer { x in
            let rows: [UnsafePointer<Float>?] = (0..<n).map { x.baseAddress! + $0 * d }
            table.pointee.pack(
              rows, UInt32(n), UInt32(width), UInt32(d), 0, scale, center, -2, UInt32(width), &out, &squares, &products)
          }
          for i in 0..<n {
            var square: Float = 0
            var product: Float = 0
            for j in 0..<d {
              let value = x[i * d + j] * scale[i] - center[j]
              square += value * value
              product -= center[j] * value
              XCTAssertEqual(out[j * width + i], -2 * value, accuracy: 1e-6)
            }
            XCTAssertEqual(squares[i], square, accuracy: 1e-5 * Float(d))
            XCTAssertEqual(products[i], product, accuracy: 1e-5 * Float(d))
          }
          for i in n..<width { for j in 0..<d { XCTAssertEqual(out[j * width + i], 0) } }
        }
      }
    }
  }

  /// A panel of n rows, and the squared errors of its rounding.
  private func packed(_ table: UnsafePointer<cpu_kernels>, _ x: [Float], _ n: Int, _ d: Int, _ bf16: Bool)
    -> ([UInt32], [Float])
  {
    var out = [UInt32](repeating: 0, count: d * n + 64)
    var squares = [Float](repeating: 0, count: n)
    var errors = squares
    var scratch = [UInt32](repeating: 0, count: 16 * (d + 32))
    let width = UInt32(n)
    x.withUnsafeBufferPointer { x in
      let rows: [UnsafePointer<Float>?] = (0..<n).map { x.baseAddress! + $0 * d }
      if bf16 {
        table.pointee.pack_bf16(
          rows, width, width, UInt32(d), 0, nil, nil, 1, width, &out, &squares, nil, &errors, &scratch)
      } else {
        out.withUnsafeMutableBytes {
          table.pointee.pack(
            rows, width, width, UInt32(d), 0, nil, nil, 1, width, $0.bindMemory(to: Float.self).baseAddress!, &squares,
            nil)
        }
      }
    }
    return (out, errors)
  }

  func testRoundingToBfloat16IsToEvenAndMeasured() {
    for table in tables where table.pointee.bf16 {
      for d in dimensions {
        let n = Int(table.pointee.panel)
        let x = random(n * d)
        let (out, errors) = packed(table, x, n, d, true)
        for i in 0..<n {
          var error = 0.0
          for j in 0..<d {
            let bits = x[i * d + j].bitPattern
            let rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16
            XCTAssertEqual(out[j / 2 * n + i] >> UInt32(16 * (j & 1)) & 0xffff, rounded)
            let lost = Double(x[i * d + j]) - Double(Float(bitPattern: rounded << 16))
            error += lost * lost
          }
          XCTAssertEqual(Double(errors[i]), error, accuracy: 1e-5 * error)
        }
      }
    }
  }

  /// The tile's values and its choice of rows, against sums in double.
  func testTilesWriteWhatIsNotAboveTheLimit() {
    for table in tables {
      let width = Int(table.pointee.panel)
      for d in dimensions {
        for queries in [4, 8, Int(table.pointee.tile)] where queries <= Int(table.pointee.tile) {
          let q = random(queries * d)
          let rows = random(width * d)
          let initial = random(width)
          let limits = random(16)
          let valid: UInt64 = 0xb5b5_b5b5_b5b5_b5b5 & (width == 64 ? ~0 : (1 << UInt64(width)) - 1)
          var hits = [cpu_hit](repeating: cpu_hit(), count: queries * width)
          for bf16 in [false, true] where !bf16 || table.pointee.bf16 {
            let (queryPanel, _) = packed(table, q, queries, d, bf16)
            let (rowPanel, _) = packed(table, rows, width, d, bf16)
            let count =
              bf16
              ? table.pointee.tile_bf16(
                UInt32(queries), queryPanel, rowPanel, UInt32(d), initial, limits, valid, &hits)
              : queryPanel.withUnsafeBytes { queryPanel in
                rowPanel.withUnsafeBytes { rowPanel in
                  table.pointee.tile_f32(
                    UInt32(queries), queryPanel.bindMemory(to: Float.self).baseAddress!,
                    rowPanel.bindMemory(to: Float.self).baseAddress!, UInt32(d), initial, limits, valid, &hits)
                }
              }
            // Truth, and how far from the limit a pair must be for its choice to be certain.
            let error: Float = bf16 ? 0.01 * Float(d).squareRoot() + 0.004 * Float(d) : 1e-5 * Float(d)
            var found = [Bool](repeating: false, count: queries * width)
            for hit in hits.prefix(Int(count)) {
              let (i, r) = (Int(hit.query), Int(hit.row))
              XCTAssertEqual(valid >> UInt64(r) & 1, 1)
              XCTAssertFalse(found[i * width + r], "written twice")
              found[i * width + r] = true
              XCTAssertLessThanOrEqual(hit.key, limits[i])
            }
            for i in 0..<queries {
              for r in 0..<width where valid >> UInt64(r) & 1 == 1 {
                var sum = Double(initial[r])
                for j in 0..<d { sum += Double(q[i * d + j]) * Double(rows[r * d + j]) }
                if Float(sum) < limits[i] - error { XCTAssertTrue(found[i * width + r], "d \(d) missed \(i), \(r)") }
                if Float(sum) > limits[i] + error { XCTAssertFalse(found[i * width + r]) }
              }
            }
          }
        }
      }
    }
  }

  func testDirectAgreesWithPairs() {
    for table in tables {
      for d in dimensions {
        for n in [1, 3, 4, 5, 63, 64] {
          let x = random(2 * n * d)
          let positions = (0..<n).map { UInt32($0 * 2) }
          for nq in 1...4 {
            let q = random(nq * d)
            let stride = Int(CPU_DIRECT_ROWS)
            var sums = [Float](repeating: .nan, count: 4 * stride)
            var dots = sums
            var squares = [Float](repeating: .nan, count: stride)
            q.withUnsafeBufferPointer { q in
              let queries: [UnsafePointer<Float>?] = (0..<nq).map { q.baseAddress! + $0 * d }
              table.pointee.direct_l2(x, positions, UInt32(n), 0, queries, UInt32(nq), UInt32(d), &sums)
              table.pointee.direct_dot(x, nil, UInt32(n), 16, queries, UInt32(nq), UInt32(d), &dots, &squares)
            }
            for i in 0..<nq {
              for r in 0..<n {
                let query = Array(q[i * d..<(i + 1) * d])
                let l2 = table.pointee.pair(1, 0, query, Array(x[2 * r * d..<(2 * r + 1) * d]), UInt32(d))
                let dot = table.pointee.pair(0, 0, query, Array(x[r * d..<(r + 1) * d]), UInt32(d))
                XCTAssertEqual(sums[i * stride + r], Float(l2), accuracy: 1e-5 * Float(d))
                XCTAssertEqual(dots[i * stride + r], -Float(dot), accuracy: 1e-5 * Float(d))
              }
            }
          }
        }
      }
    }
  }

  /// A panel's values and its choice of rows, against sums in double.
  func testPanelsWriteWhatIsWithinTheLimits() {
    let width = Int(CPU_MAX_QUERIES)
    for table in tables {
      for d in dimensions {
        for n in [1, 3, 8, 9, 63, 64] {
          let q = random(width * d)
          let x = random(2 * n * d, offset: 0.5)
          let positions: [UInt32]? = n % 2 == 1 ? (0..<n).map { UInt32($0 * 2) } : nil
          let center = random(d)
          let panel = (0..<d).flatMap { j in (0..<width).map { q[$0 * d + j] } }
          for metric in [CPU_INNER_PRODUCT, CPU_L2, CPU_COSINE] {
            var limits = cpu_limits()
            limits.square = metric == CPU_L2 ? 0.25 : 0
            _ = withUnsafeMutableBytes(of: &limits.base) { $0.bindMemory(to: Float.self).update(fromContentsOf: random(width)) }
            _ = withUnsafeMutableBytes(of: &limits.slope) {
              $0.bindMemory(to: Float.self).update(fromContentsOf: random(width, offset: 1))
            }
            let base = withUnsafeBytes(of: limits.base) { Array($0.bindMemory(to: Float.self)) }
            let slope = withUnsafeBytes(of: limits.slope) { Array($0.bindMemory(to: Float.self)) }
            var squares = [Float](repeating: .nan, count: Int(CPU_DIRECT_ROWS))
            var hits = [cpu_hit](repeating: cpu_hit(), count: width * Int(CPU_DIRECT_ROWS))
            let count = table.pointee.panel_f32(
              metric.rawValue, panel, x, positions, UInt32(n), 8, UInt32(d), metric == CPU_L2 ? center : nil, &limits,
              &squares, &hits)
            var found = [Float?](repeating: nil, count: width * n)
            for hit in hits.prefix(Int(count)) {
              XCTAssertNil(found[Int(hit.query) * n + Int(hit.row)], "written twice")
              found[Int(hit.query) * n + Int(hit.row)] = hit.key
            }
            for r in 0..<n {
              let row = x[(positions == nil ? r : 2 * r) * d..<(positions == nil ? r + 1 : 2 * r + 1) * d].map(Double.init)
              let square = zip(row, center).reduce(0) {
                $0 + ($1.0 - (metric == CPU_L2 ? Double($1.1) : 0)) * ($1.0 - (metric == CPU_L2 ? Double($1.1) : 0))
              }
              XCTAssertEqual(Double(squares[r]), square, accuracy: 1e-5 * Double(d))
              for i in 0..<width {
                var key = zip(q[i * d..<(i + 1) * d], row).reduce(0) { $0 + Double($1.0) * $1.1 }
                var length = square.squareRoot()
                if metric == CPU_L2 { key += square }
                if metric == CPU_COSINE { (key, length) = (key / length, 1) }
                let limit = Double(base[i]) + Double(slope[i]) * length + Double(limits.square) * square
                let error = 1e-5 * Double(d)
                if key < limit - error { XCTAssertNotNil(found[i * n + r], "d \(d) n \(n) missed \(i), \(r)") }
                if key > limit + error { XCTAssertNil(found[i * n + r], "d \(d) n \(n) wrote \(i), \(r)") }
                if let value = found[i * n + r] { XCTAssertEqual(Double(value), key, accuracy: error) }
              }
            }
          }
        }
      }
    }
  }

  func testAFailedHopeIsScannedAgain() {
    let (n, d, k, sampled) = (500, 9, 40, 100)
    let x = random(n * d)
    let query = random(d)
    for table in tables {
      var found: [(Float, Int64)] = []
      for i in 0..<n {
        let row = Array(x[i * d..<(i + 1) * d])
        found.append((Float(table.pointee.pair(1, 0, query, row, UInt32(d))), Int64(i)))
      }
      let nearest = found.sorted { $0.0 < $1.0 || ($0.0 == $1.0 && $0.1 < $1.1) }.prefix(k)
      // The 30th of the sample lies beyond the k-th of all; the 2nd does not, and is hoped for in vain.
      for m in [2, 30] {
        let capacity = cpu_collector_capacity(UInt64(k))
        let memory = UnsafeMutableRawPointer.allocate(
          byteCount: Int(capacity) * Int(CPU_CANDIDATE_BYTES), alignment: 8)
        defer { memory.deallocate() }
        var collector = cpu_collector()
        collector.k = UInt64(m)
        collector.bound = .infinity
        collector.hoped = .infinity
        cpu_collector_place(&collector, memory, cpu_collector_capacity(UInt64(m)))
        var distances = [Float](repeating: 0, count: k)
        var labels = [Int64](repeating: 0, count: k)
        withUnsafeMutablePointer(to: &collector) { collector in
          x.withUnsafeBufferPointer { x in
            query.withUnsafeBufferPointer { query in
              var source = cpu_source()
              (source.rows, source.count, source.d, source.metric) = (x.baseAddress, UInt64(n), UInt32(d), 1)
              var scan = cpu_scan(
                kernels: table, source: source, queries: query.baseAddress, collectors: collector, locations: false)
              cpu_scan_direct(&scan, nil, 0, 1, x.baseAddress, 0, nil, UInt64(sampled))
              cpu_collector_guess(&scan, 0, UInt64(k), capacity)
              XCTAssertLessThan(collector.pointee.hoped, .infinity)
              XCTAssertEqual(collector.pointee.hoped < nearest.last!.0, m == 2)
              cpu_scan_direct(&scan, nil, 0, 1, x.baseAddress, 0, nil, UInt64(n))
              cpu_collector_finish(&scan, 0, &distances, &labels)
            }
          }
        }
        XCTAssertEqual(labels, nearest.map { $0.1 })
        XCTAssertEqual(distances, nearest.map { $0.0 })
      }
    }
  }

  func testFindNonfiniteFindsTheFirst() {
    for table in tables {
      for n in [0, 1, 16, 63, 64, 65, 200] {
        var x = random(n)
        XCTAssertEqual(table.pointee.find_nonfinite(x, UInt64(n)), UInt64(n))
        for at in Swift.stride(from: 0, to: n, by: 7) {
          for bad: Float in [.nan, .infinity, -.infinity] {
            let kept = x[at]
            x[at] = bad
            if n > 1 { x[n - 1] = .nan }
            XCTAssertEqual(table.pointee.find_nonfinite(x, UInt64(n)), UInt64(at))
            x[at] = kept
            if n > 1 { x[n - 1] = 0 }
          }
        }
      }
    }
  }

  func testCountWithinCountsTiesAndNaN() {
    for table in tables {
      let x: [Float] = [1, 2, 2, 3, .nan, -1, 5, 2, 8, 9, 10, 11, 12, 13, 14, 2, 2, 2.5, 1]
      XCTAssertEqual(table.pointee.count_within(x, UInt64(x.count), 2), 9)
    }
  }

  func testHammingCountsBits() {
    for table in tables {
      for bytes in [1, 7, 8, 9, 16, 33] {
        let x = [UInt8](repeating: 0b1010_1010, count: bytes)
        let y = [UInt8](repeating: 0b0101_1010, count: bytes)
        XCTAssertEqual(table.pointee.hamming(x, y, UInt32(bytes)), UInt32(4 * bytes))
      }
    }
  }
}
