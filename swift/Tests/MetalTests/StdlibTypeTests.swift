import Foundation
import Metal
import XCTest

/// half, bfloat, integers, vectors, matrices and atomics.
final class StdlibTypeTests: XCTestCase {
  private let edges: [Float] =
    [
      0, -0.0, 1, -1, 0.5, 1.5, 65504, -65504, 70000, 6e-8, -6e-8, 3e-8, 1e-5, .infinity, -.infinity, .nan, 0.1, 2.25,
      1000.3, -0.33,
    ]
  private var pairs: [(Float, Float)] {
    edges.flatMap { a in edges.map { (a, $0) } }
      + zip(randomFloats(100, seed: 5), randomFloats(100, seed: 6)).map { ($0 * 8, $1 * 8) }
  }

  #if !arch(x86_64) || os(Linux)
    func testHalf() throws {
      func rounded(_ x: Double) -> Double { Double(Float16(x)) }
      try StdlibRun.each { run in
        let found = try run.results(
          "math_half", [run.buffer(pairs.map(\.0)), run.buffer(pairs.map(\.1))], count: pairs.count, columns: 28)
        for ((first, second), row) in zip(pairs, found) {
          let a = Float16(first)
          let b = Float16(second)
          let x = Double(a)
          let y = Double(b)
          let fraction = a.isFinite ? min(rounded(x - x.rounded(.down)), Double(Float16(1).nextDown)) : .nan
          let wanted: [(Double, Double)] = [
            (x, 0), (y, 0), (rounded(x + y), 0), (rounded(x - y), 0), (rounded(x * y), 0), (rounded(x / y), 0), (-x, 0),
            (rounded(x * y + x), 0), (rounded(x.squareRoot()), 0), (rounded(exp2(x)), 8192), (fraction, 0),
            (x.rounded(.down), 0),
            (fmin(x, y), 0), (fmax(x, y), 0), (fmin(fmax(x, -y), y), 0), (rounded(sin(x)), 8192), (rounded(x * 2), 0),
            (rounded(x + 1), 0),
            (rounded(Double(Float(a) * 0.1)), 0), (Double(after(a, b)), 0), (rounded(x * 4), 0),
            (x.rounded(.towardZero), 0),
            (copysign(x, y), 0), (abs(x), 0), (Double(Float(a) * 0.1), 0),
          ]
          for (k, (want, ulps)) in wanted.enumerated() {
            run.check(row[k], want, "half[\(k)] of \(a), \(b)", ulps: ulps, within: ulps > 0 ? 6e-8 : 0)
          }
          if a.isNaN { continue }
          let flags = [a < b, a == b, a > 1, a.isNaN, a.isInfinite, a.isNormal, a.sign == .minus]
          run.check(
            row[25], flags.enumerated().reduce(0) { $0 + ($1.element ? Double(1 << $1.offset) : 0) },
            "comparisons of \(a), \(b)")
          run.check(row[26], rounded(rounded(x * 2) + 1), "half4 of \(a)")
          run.check(row[27], Double(a.bitPattern), "bits of \(a)")
        }
      }
    }

    private func after(_ x: Float16, _ y: Float16) -> Float16 {
      if x.isNaN || y.isNaN { return .nan }
      return x == y ? y : y > x ? x.nextUp : x.nextDown
    }
  #endif

  func testBfloat() throws {
    func narrow(_ x: Float) -> Float {
      if x.isNaN { return x }
      let bits = x.bitPattern
      return Float(bitPattern: (bits &+ 0x7fff &+ (bits >> 16 & 1)) & 0xffff_0000)
    }
    try StdlibRun.each { run in
      let out = run.poisoned(pairs.count * 8, Float.self)
      let stored = pairs.map { UInt16(narrow($0.1).bitPattern >> 16) }
      try run.run(
        "brain_floats", [run.buffer(pairs.map(\.0)), run.buffer(pairs.map(\.1)), out, run.buffer(stored)],
        threads: MTLSizeMake(pairs.count, 1, 1), threadgroup: MTLSizeMake(64, 1, 1))
      for ((first, second), row) in zip(pairs, run.rows(out, 8, of: Float.self)) {
        let x = narrow(first)
        let y = narrow(second)
        let bits = Float(x.bitPattern >> 16)
        let order: Float = x < y ? 1 : x == y ? 2 : 0
        let wanted: [Float] = [x, narrow(x + y), narrow(x * y), narrow(x / y), x * 0.1, bits, order, narrow(y + y)]
        for (k, want) in wanted.enumerated() where !(k == 5 && x.isNaN) {
          run.check(row[k], Double(want), "bfloat[\(k)] of \(x), \(y)")
        }
      }
    }
  }

  private func checkIntegers<T: FixedWidthInteger>(_ type: T.Type, _ name: String) throws {
    let few: [T] = [
      0, 1, 2, 3, 5, 7, .min, .max, .min / 2, .max / 3, .max - 1, T(truncatingIfNeeded: -1),
      T(truncatingIfNeeded: -100),
    ]
    let values = few.flatMap { a in few.flatMap { b in [few[1], few[7], few[12], few[6]].map { (a, b, $0) } } }
    let bits = T.bitWidth
    func half(_ x: T, _ y: T, up: Bool) -> T {
      let odd: T = (x ^ y) & 1
      let floor: T = (x & y) &+ ((x ^ y) >> 1)
      return up ? floor &+ odd : floor
    }
    func reversed(_ x: T) -> T {
      var result: T = 0
      for i in 0..<bits where (x >> i) & 1 == 1 { result |= (1 as T) << (bits - 1 - i) }
      return result
    }
    func rotated(_ x: T) -> T {
      let u = T.Magnitude(truncatingIfNeeded: x)
      return T(truncatingIfNeeded: (u << 5) | (u >> (bits - 5)))
    }
    func saturated(_ x: T, _ y: T, _ z: T) -> T {
      // In 128 bits: high and low half of the product, then z.
      let product = x.multipliedFullWidth(by: y)
      let ones = T(truncatingIfNeeded: -1)
      let (sum, carry) = product.low.addingReportingOverflow(T.Magnitude(truncatingIfNeeded: z))
      let signOfZ: T = z < 0 ? ones : 0
      let carried: T = carry ? 1 : 0
      let high: T = product.high &+ signOfZ &+ carried
      let low = T(truncatingIfNeeded: sum)
      let expected: T = low < 0 ? ones : 0
      return high == expected ? low : high < 0 ? .min : .max
    }
    func long<I: BinaryInteger>(_ x: I) -> Int64 { Int64(truncatingIfNeeded: x) }
    func extracted(_ x: T) -> T {
      let field: T = (x >> 2) & 31
      return T.isSigned && field >= 16 ? field | ~31 : field
    }
    try StdlibRun.each { run in
      let found = try run.results(
        name, [run.buffer(values.map(\.0)), run.buffer(values.map(\.1)), run.buffer(values.map(\.2))],
        count: values.count, columns: 22,
        of: Int64.self)
      for ((x, y, z), row) in zip(values, found) {
        let sum = x.addingReportingOverflow(y)
        let difference = x.subtractingReportingOverflow(y)
        let low = min(y, z)
        let high = max(y, z)
        let sorted = [x, y, z].sorted()
        let top = x.multipliedFullWidth(by: y).high
        let u = T.Magnitude(truncatingIfNeeded: x)
        let v = T.Magnitude(truncatingIfNeeded: y)
        let distance: T.Magnitude = x < y ? v &- u : u &- v
        let added: T = !sum.overflow ? sum.partialValue : y < 0 ? .min : .max
        let subtracted: T = !difference.overflow ? difference.partialValue : y < 0 ? .max : .min
        let inserted: T = (x & ~126) | ((y << 1) & 126)
        var wanted: [Int64] = [long(x < 0 ? 0 &- x : x), long(distance), long(added), long(subtracted)]
        wanted += [long(x.leadingZeroBitCount), long(x.trailingZeroBitCount), long(x.nonzeroBitCount)]
        wanted += [
          half(x, y, up: false), half(x, y, up: true), top, top &+ z, saturated(x, y, z), reversed(x), rotated(x),
        ].map(long)
        wanted += [
          min(x, y), max(x, y), min(max(x, low), high), sorted[1], sorted[0], sorted[2], extracted(x), inserted,
        ].map(long)
        run.check(row, wanted, "\(name) of \(x), \(y), \(z)")
      }
    }
  }

  func testIntegers() throws {
    try checkIntegers(Int8.self, "integer_char")
    try checkIntegers(UInt8.self, "integer_uchar")
    try checkIntegers(Int16.self, "integer_short")
    try checkIntegers(UInt16.self, "integer_ushort")
    try checkIntegers(Int32.self, "integer_int")
    try checkIntegers(UInt32.self, "integer_uint")
    try checkIntegers(Int64.self, "integer_long")
    try checkIntegers(UInt64.self, "integer_ulong")
  }

  func testOtherIntegerFunctions() throws {
    let a: [Int32] = [5, -5, 0x123456, -7_000_000, 8_388_607, 3]
    let b: [Int32] = [3, 7, -0x12345, 9_999_999, 8_388_607, -1]
    func low(_ x: Int32) -> Int32 { (x << 8) >> 8 }
    try StdlibRun.each { run in
      let found = try run.results(
        "integer_others", [run.buffer(a), run.buffer(b)], count: a.count, columns: 12, of: Int32.self)
      for (i, row) in found.enumerated() {
        let (x, y) = (a[i], b[i])
        let product = low(x) &* low(y)
        let unsigned = Int32(bitPattern: (UInt32(bitPattern: x) & 0xffffff) &* (UInt32(bitPattern: y) & 0xffffff))
        let shifted: Int32 = x << 2
        let flipped: Int32 = ~(x + 1) ^ (y - 1)
        let isAbove: Int32 = max(x, y, x + 1, y - 1) > 3 ? 1 : 0
        let wanted: [Int32] = [
          product, product &+ 7, unsigned, 1, 1, 1, 1, ((shifted >> 1) & 0xff) | 1, y % 7, flipped, isAbove, abs(x),
        ]
        run.check(row, wanted, "integer_others of \(x), \(y)")
      }
    }
  }

  func testVectorsAndSizes() throws {
    try StdlibRun.each { run in
      let out = run.poisoned(64, Float.self)
      let sizes = run.poisoned(32, UInt32.self)
      let packed = run.poisoned(16, Int16.self)
      try run.run(
        "vectors", [out, sizes, run.buffer([Float(1), 2, 4]), packed], threads: MTLSizeMake(1, 1, 1),
        threadgroup: MTLSizeMake(1, 1, 1))
      let wanted: [Float] = [
        1, 2, 3, 4, 4, 1, 2.5, 2.25, 5, 8, 18, 25, -1, 4, 11, 10, 8, 9, 4, 1.5, 4, 2, 1, 6, 2, 0.5, 13, 7, 1, 1, 30, 1,
      ]
      run.check(Array(run.rows(out, 64, of: Float.self)[0][..<wanted.count]), wanted, "vectors")
      let bytes: [UInt32] = [2, 4, 4, 8, 8, 16, 16, 12, 4, 6, 32, 8, 96, 48, 16, 8, 8, 4]
      run.check(Array(run.rows(sizes, 32, of: UInt32.self)[0][..<bytes.count]), bytes, "sizes")
    }
  }

  func testMatrices() throws {
    try StdlibRun.each { run in
      let out = run.poisoned(32, Float.self)
      try run.run("matrices", [out], threads: MTLSizeMake(1, 1, 1), threadgroup: MTLSizeMake(1, 1, 1))
      let wanted: [Float] = [17, 22, 27, 22, 29, 36, 27, 36, 45, 14, 32, 9, 15, 14, 32, 18, 19, 54, 111, 1, 12]
      for (found, want) in zip(run.rows(out, 32, of: Float.self)[0], wanted) {
        run.check(found, Double(want), "matrices", within: 1e-4)
      }
    }
  }

  func testAtomics() throws {
    let n = 1000
    try StdlibRun.each { run in
      let ints = run.buffer([Int32(0), 0, 1_000_000, -1_000_000])
      let floats = run.buffer([Float(0), 0, 0])
      let words = run.buffer([UInt32.max, 0, 0, 0] + [UInt32](repeating: .max, count: 8) + [0])
      let longs = run.buffer([UInt64(1) << 63, 0])
      let flag = run.buffer([UInt32(0)])
      let out = run.buffer([UInt32](repeating: 0, count: n))
      try run.run(
        "atomics", [ints, words, floats, longs, flag, out], threads: MTLSizeMake(n, 1, 1),
        threadgroup: MTLSizeMake(128, 1, 1))
      let sum = Int32((0..<n).reduce(0) { $0 + $1 - 100 })
      let found: [[UInt32]] = run.rows(words, 13)
      run.check(run.rows(ints, 4)[0], [sum, -sum, -100, Int32(n - 101)], "atomic_int")
      run.check(
        Array(found[0][..<4]) + [found[0][12]], [0, .max, (0..<UInt32(n)).reduce(0, ^), UInt32(n), 0], "atomic_uint")
      run.check(run.rows(floats, 3)[0], [Float(n) / 2, -Float(n) / 4, Float(n - 1)], "atomic_float")
      run.check(run.rows(longs, 2)[0], [0, UInt64(n - 1) << 33], "atomic_ulong")
      XCTAssertEqual(flag.contents().load(as: UInt8.self), 1)
      let tickets: [[UInt32]] = run.rows(out, n)
      run.check(
        [tickets[0].filter { $0 == 1 }.count, tickets[0].filter { $0 == 2 }.count], [n - 8, 8],
        "atomic_exchange_explicit")
    }
  }
}
