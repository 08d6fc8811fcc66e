import CPUKernels
import XCTest

/// Products of every table that runs here against those of the plain one.
final class GemmTests: XCTestCase {
  private var tables: [UnsafePointer<cpu_kernels>] {
    var found = [UnsafePointer<cpu_kernels>?](repeating: nil, count: 8)
    let count = cpu_tables(&found, 8)
    return found.prefix(Int(count)).compactMap { $0 }
  }

  private var state: UInt64 = 7

  /// Small integers: sums of their products are exact in any order.
  private func integers(_ count: Int) -> [Float] {
    (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Float(state >> 33 & 7) - 3
    }
  }

  /// Bits of small integers in a type: 1 float16, 2 bfloat16.
  private func bits(_ values: [Float], _ type: UInt32) -> [UInt16] {
    values.map { value in
      let bits = value.bitPattern
      if type == 2 { return UInt16(bits >> 16) }
      if value == 0 { return 0 }
      return UInt16(bits >> 16 & 0x8000) | UInt16(((bits & 0x7fff_ffff) - 0x3800_0000) >> 13)
    }
  }

  private func product(
    _ table: UnsafePointer<cpu_kernels>, _ m: Int, _ n: Int, _ k: Int, _ a: cpu_matrix, _ b: cpu_matrix, _ beta: Float,
    _ c: [Float]
  ) -> [Float] {
    var out = c
    let bytes = cpu_gemm_scratch(table, UInt64(m), UInt64(n), UInt64(k))
    let scratch = UnsafeMutableRawPointer.allocate(byteCount: bytes + 64, alignment: 64)
    defer { scratch.deallocate() }
    // Poison, and a guard behind it.
    memset(scratch, 0xff, bytes)
    memset(scratch + bytes, 0x5a, 64)
    var (left, right) = (a, b)
    cpu_gemm(table, UInt64(m), UInt64(n), UInt64(k), 2, &left, &right, beta, &out, UInt64(n + 1), scratch)
    for i in bytes..<bytes + 64 { XCTAssertEqual(scratch.load(fromByteOffset: i, as: UInt8.self), 0x5a) }
    return out
  }

  func testProductsAreThoseOfTheDefinition() {
    let sizes = [(1, 1, 1), (13, 15, 16), (14, 33, 17), (70, 7, 40), (9, 130, 33), (29, 66, 600), (67, 70, 5)]
    for (m, n, k) in sizes {
      for way in 0..<4 {
        let (across, along) = (way & 1 == 1, way & 2 == 2)
        let (a, b) = (integers(m * k), integers(k * n))
        let start = integers(m * (n + 1))
        for type: UInt32 in 0...2 {
          let (halvesA, halvesB) = (bits(a, max(type, 1)), bits(b, max(type, 1)))
          a.withUnsafeBytes { floatsA in
            b.withUnsafeBytes { floatsB in
              halvesA.withUnsafeBytes { halvesA in
                halvesB.withUnsafeBytes { halvesB in
                  let left = cpu_matrix(
                    data: type == 0 ? floatsA.baseAddress : halvesA.baseAddress, line: UInt64(across ? m : k),
                    type: type, transposed: across)
                  let right = cpu_matrix(
                    data: type == 0 ? floatsB.baseAddress : halvesB.baseAddress, line: UInt64(along ? k : n),
                    type: type, transposed: along)
                  var wanted = start
                  for i in 0..<m {
                    for j in 0..<n {
                      var sum: Float = 0
                      for p in 0..<k { sum += a[across ? p * m + i : i * k + p] * b[along ? j * k + p : p * n + j] }
                      wanted[i * (n + 1) + j] = 2 * sum + 3 * start[i * (n + 1) + j]
                    }
                  }
                  for table in tables {
                    XCTAssertEqual(
                      product(table, m, n, k, left, right, 3, start), wanted,
                      "\(String(cString: table.pointee.name)) \(m) × \(n) × \(k), way \(way), type \(type)")
                  }
                }
              }
            }
          }
        }
      }
    }
  }

  func testSumsOfRowsAndColumnsAreThoseOfThePlainTable() {
    let scalar = tables.last!
    for (n, k) in [(1, 1), (5, 3), (33, 64), (18, 131), (70, 9)] {
      let w = integers(n * k)
      let x = integers(max(n, k))
      for type: UInt32 in 0...2 {
        let halves = bits(w, max(type, 1))
        w.withUnsafeBytes { floats in
          halves.withUnsafeBytes { halves in
            let data = type == 0 ? floats.baseAddress : halves.baseAddress
            for table in tables {
              var wanted = [Float](repeating: .nan, count: n)
              var sums = wanted
              scalar.pointee.gemv_rows(type, data, k, UInt64(n), UInt64(k), x, &wanted)
              table.pointee.gemv_rows(type, data, k, UInt64(n), UInt64(k), x, &sums)
              XCTAssertEqual(sums, wanted, "rows of \(n) × \(k), type \(type)")
              scalar.pointee.gemv_columns(type, data, n, UInt64(n), UInt64(k), x, &wanted)
              table.pointee.gemv_columns(type, data, n, UInt64(n), UInt64(k), x, &sums)
              XCTAssertEqual(sums, wanted, "columns of \(k) × \(n), type \(type)")
            }
          }
        }
      }
    }
  }
}
