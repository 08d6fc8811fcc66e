import Foundation
import Metal
import XCTest

/// metal_math, metal_common, metal_relational, metal_geometric and metal_pack against the host's own functions.
final class StdlibMathTests: XCTestCase {
  private let edges: [Float] =
    [
      0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 3.4e38, -3.4e38, .infinity, -.infinity, .nan, 0.1, 0.9999999, 1e10,
      -7.25, 100, -100,
      88, -87, 120, 8388608.5, 0.25, 0.75, 1e-7, 1.2e-38,
    ]
  private var inputs: [Float] { edges + randomFloats(64).map { $0 * 8 } }
  private var pairs: [(Float, Float)] { edges.flatMap { a in edges.map { (a, $0) } } }

  /// sin, cos and tan of a multiple of pi, exact where they are.
  private func turns(_ x: Double) -> (sin: Double, cos: Double, tan: Double) {
    if !x.isFinite { return (.nan, .nan, .nan) }
    let r = x - 2 * (x / 2).rounded(.toNearestOrEven)
    let quarter = (r * 2).rounded() == r * 2
    if !quarter { return (sin(.pi * r), cos(.pi * r), tan(.pi * r)) }
    let zero = x.sign == .minus ? -0.0 : 0.0
    switch r {
    case 0.5: return (1, 0, .infinity)
    case -0.5: return (-1, 0, -.infinity)
    case 0: return (zero, 1, zero)
    default: return (zero, -1, zero)
    }
  }

  func testOneArgument() throws {
    try StdlibRun.each { run in
      let found = try run.results("math_one", [run.buffer(inputs)], count: inputs.count, columns: 33)
      for (input, row) in zip(inputs, found) {
        let x = Double(input)
        let turn = turns(x)
        let fraction = x.isFinite ? min(x - x.rounded(.down), Double(Float(1).nextDown)) : .nan
        // Exact functions have a bound of 0.
        let wanted: [(String, Double, Double)] = [
          ("acos", acos(x), 4), ("acosh", acosh(x), 4), ("asin", asin(x), 4), ("asinh", asinh(x), 4),
          ("atan", atan(x), 4),
          ("atanh", atanh(x), 4), ("ceil", x.rounded(.up), 0), ("cos", cos(x), 4), ("cosh", cosh(x), 4),
          ("cospi", turn.cos, 4),
          ("exp", exp(x), 4), ("exp2", exp2(x), 4), ("exp10", pow(10, x), 4), ("fabs", abs(x), 0), ("abs", abs(x), 0),
          ("floor", x.rounded(.down), 0), ("fract", fraction, 1), ("log", log(x), 4), ("log2", log2(x), 4),
          ("log10", log10(x), 4),
          ("rint", x.rounded(.toNearestOrEven), 0), ("round", x.rounded(.toNearestOrAwayFromZero), 0),
          ("rsqrt", 1 / x.squareRoot(), 2),
          ("saturate", x.isNaN ? 0 : min(max(x, 0), 1), 0), ("sign", x.isNaN ? 0 : x > 0 ? 1 : x < 0 ? -1 : x, 0),
          ("sin", sin(x), 4),
          ("sinh", sinh(x), 4), ("sinpi", turn.sin, 4), ("sqrt", x.squareRoot(), 0), ("tan", tan(x), 4),
          ("tanh", tanh(x), 4),
          ("tanpi", turn.tan, 6), ("trunc", x.rounded(.towardZero), 0),
        ]
        for (value, (name, want, ulps)) in zip(row, wanted) {
          run.check(value, want, "\(name)(\(input))", ulps: ulps, within: ulps > 0 ? 1e-9 : 0)
        }
      }
    }
  }

  func testTwoArguments() throws {
    try StdlibRun.each { run in
      let found = try run.results(
        "math_two", [run.buffer(pairs.map(\.0)), run.buffer(pairs.map(\.1))], count: pairs.count, columns: 14)
      for ((first, second), row) in zip(pairs, found) {
        let x = Double(first)
        let y = Double(second)
        let quotient = Double(first / second)
        let least = x.isNaN ? y : y.isNaN ? x : min(x, y)
        let most = x.isNaN ? y : y.isNaN ? x : max(x, y)
        let wanted: [(String, Double, Double)] = [
          ("atan2", atan2(x, y), 4), ("copysign", copysign(x, y), 0), ("divide", quotient, 0), ("fdim", fdim(x, y), 0),
          ("fmax", most, 0),
          ("fmin", least, 0), ("max", most, 0), ("min", least, 0), ("fmod", fmod(x, y), 0),
          ("nextafter", Double(nextafterf(first, second)), 0),
          ("pow", pow(x, y), 8), ("powr", pow(abs(x), y), 8), ("step", y < x ? 0 : 1, 0), ("/", quotient, 0),
        ]
        for (value, (name, want, ulps)) in zip(row, wanted) {
          run.check(value, want, "\(name)(\(first), \(second))", ulps: ulps)
        }
      }
    }
  }

  func testThreeArguments() throws {
    let values = inputs.filter { abs($0) < 1e6 || !$0.isFinite }
    let (a, b, c) = (values, Array(values.reversed()), values.indices.map { values[($0 * 7 + 3) % values.count] })
    try StdlibRun.each { run in
      let found = try run.results(
        "math_three", [run.buffer(a), run.buffer(b), run.buffer(c)], count: a.count, columns: 10)
      for (i, row) in found.enumerated() {
        let x = a[i]
        let y = b[i]
        let z = c[i]
        let middle = fmaxf(fminf(x, y), fminf(fmaxf(x, y), z))
        let exact: [Int: Float] = [
          0: fmaf(x, y, z), 1: fminf(fmaxf(x, y), z), 4: fmaxf(fmaxf(x, y), z), 5: fminf(fminf(x, y), z), 6: middle,
          7: fmaxf(fmaxf(x, y), z), 8: fminf(fminf(x, y), z), 9: middle,
        ]
        for (k, want) in exact { run.check(row[k], Double(want), "math_three[\(k)] of \(x), \(y), \(z)") }
        if [x, y, z].allSatisfy(\.isFinite) {
          let (p, q, r) = (Double(x), Double(y), Double(z))
          run.check(
            row[2], p + (q - p) * r, "mix(\(x), \(y), \(z))", within: 1e-6 * (abs(p) + (abs(p) + abs(q)) * abs(r)))
          let t = min(max((r - p) / (q - p), 0), 1)
          if p != q { run.check(row[3], t * t * (3 - 2 * t), "smoothstep(\(x), \(y), \(z))", within: 1e-5) }
        }
      }
    }
  }

  func testSeveralResults() throws {
    try StdlibRun.each { run in
      let out = run.poisoned(inputs.count * 8, Float.self)
      let whole = run.poisoned(inputs.count * 2, Int32.self)
      try run.run(
        "math_parts", [run.buffer(inputs), out, whole], threads: MTLSizeMake(inputs.count, 1, 1),
        threadgroup: MTLSizeMake(32, 1, 1))
      let found: [[Float]] = run.rows(out, 8)
      let integers: [[Int32]] = run.rows(whole, 2)
      for (i, input) in inputs.enumerated() {
        let x = Double(input)
        let row = found[i]
        if input.isFinite {
          let exponent = x == 0 ? 0 : Int(x.exponent) + 1
          run.check(row[0], scalbn(x, -exponent), "frexp(\(input))")
          XCTAssertEqual(integers[i][0], Int32(exponent), "frexp(\(input))")
          if input != 0 { XCTAssertEqual(integers[i][1], Int32(exponent - 1), "ilogb(\(input))") }
          if abs(input) < 1e38 { run.check(row[7], 2 * x, "frexp of a vector with \(input)", ulps: 1) }
        }
        run.check(row[2], x.rounded(.towardZero), "modf(\(input))")
        run.check(row[1], x.isInfinite ? copysign(0, x) : x - x.rounded(.towardZero), "modf(\(input))")
        run.check(row[3], sin(x), "sincos(\(input))", ulps: 4, within: 1e-9)
        run.check(row[4], cos(x), "sincos(\(input))", ulps: 4, within: 1e-9)
        run.check(row[5], Double(Float(scalbn(x, 3))), "ldexp(\(input), 3)")
        run.check(row[6], Double(Float(scalbn(x, -130))), "ldexp(\(input), -130)")
      }
    }
  }

  func testFastAndPrecise() throws {
    let values: [Float] = [0.125, 0.3, 0.7, 1, 1.4, 2, 3, 0.011]
    try StdlibRun.each { run in
      let found = try run.results("math_namespaces", [run.buffer(values)], count: values.count, columns: 28)
      for (input, row) in zip(values, found) {
        let x = Double(input)
        let wanted = [
          cos(x), exp(x), exp2(x), pow(10, x), log(x), log2(x), log10(x), sin(x), tan(x), x.squareRoot(),
          1 / x.squareRoot(), 1 / x,
          pow(x, 1.5), (x * x + 1).squareRoot(),
        ]
        for (k, want) in wanted.enumerated() {
          run.check(row[2 * k], want, "fast[\(k)](\(input))", within: 1e-5 * (1 + abs(want)))
          run.check(row[2 * k + 1], want, "precise[\(k)](\(input))", ulps: 4, within: 1e-9)
        }
      }
      let zeros = try run.results("math_vectors", [run.buffer(values)], count: values.count, columns: 4)
      for row in zeros { for value in row { run.check(value, 0, "a vector's result less the scalars'", within: 1e-6) } }
    }
  }

  func testRelations() throws {
    func word(_ a: Float, _ b: Float) -> UInt32 {
      let unordered = a.isNaN || b.isNaN
      let tests: [Bool] = [
        a.isNaN, a.isInfinite, a.isFinite, a.isNormal, a.sign == .minus, !unordered, unordered, a < b, a <= b, a == b,
        a != b,
        unordered, a.isFinite && b.isFinite, a < b || b < a, a == b, a == b, true,
        (a > b || a <= b) && (b > a || b <= a),
        a.isInfinite || b.isInfinite, !unordered, a > b, a.sign == .minus || b.sign == .minus,
      ]
      return tests.enumerated().reduce(0) { $0 | ($1.element ? 1 << UInt32($1.offset) : 0) }
    }
    // The sign of what the host calls NaN is its own affair.
    let known: [(Float, Float)] = pairs.filter { !$0.0.isNaN && !$0.1.isNaN } + [(.nan, 1), (2, .nan)]
    try StdlibRun.each { run in
      let found = try run.results(
        "relations", [run.buffer(known.map(\.0)), run.buffer(known.map(\.1))], count: known.count, columns: 1,
        of: UInt32.self)
      for (pair, row) in zip(known, found) { run.check(row, [word(pair.0, pair.1)], "relations of \(pair)") }
    }
  }

  func testGeometry() throws {
    let n = 20
    let a = randomFloats(3 * n, seed: 1)
    let b = randomFloats(3 * n, seed: 2)
    typealias V = SIMD3<Double>
    func dot(_ a: V, _ b: V) -> Double { (a * b).sum() }
    func length(_ a: V) -> Double { dot(a, a).squareRoot() }
    func cross(_ a: V, _ b: V) -> V { V(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x) }
    try StdlibRun.each { run in
      let found = try run.results("geometry", [run.buffer(a), run.buffer(b)], count: n, columns: 24)
      for (i, row) in found.enumerated() {
        let x = V(Double(a[3 * i]), Double(a[3 * i + 1]), Double(a[3 * i + 2]))
        let y = V(Double(b[3 * i]), Double(b[3 * i + 1]), Double(b[3 * i + 2]))
        let normal = y / length(y)
        let unit = x / length(x)
        let along = dot(normal, unit)
        let k = 1 - 0.49 * (1 - along * along)
        let vectors: [V] = [
          cross(x, y), unit, x - 2 * normal * dot(normal, x), dot(y, x) < 0 ? x : -x,
          k < 0 ? V.zero : unit * 0.7 - normal * (0.7 * along + k.squareRoot()),
        ]
        var wanted = [dot(x, y), length(x), dot(x, x), length(x - y), dot(x - y, x - y)]
        for v in vectors { wanted += [v.x, v.y, v.z] }
        let flat = x.x * y.x + x.y * y.y
        wanted += [flat, (dot(x, x) + 1).squareRoot(), x.x * y.y + length(x - y)]
        for (k, want) in wanted.enumerated() { run.check(row[k], want, "geometry[\(k)]", within: 1e-5) }
        run.check(row[23], flat, "dot of half2", within: 0.01)
      }
    }
  }

  func testPacking() throws {
    let values: [[Float]] = [[0, 1, 0.5, 0.25], [-1, -0.5, 2, .nan], [0.2, 0.4, 0.6, 0.8], [0.75, -0.125, 1, 0]]
    // Bits of each kernel's packed components, and whether they are signed.
    let formats: [(bits: [Int], signed: Bool)] = [
      ([8, 8, 8, 8], false), ([8, 8, 8, 8], true), ([8, 8, 8, 8], false), ([16, 16], false), ([16, 16], true),
      ([10, 10, 10, 2], false),
      ([5, 6, 5], false), ([8, 8, 8, 8], false),
    ]
    try StdlibRun.each { run in
      let out = run.poisoned(values.count * 8, UInt32.self)
      let back = run.poisoned(values.count * 32, Float.self)
      try run.run(
        "packing", [run.buffer(values.flatMap { $0 }), out, back], threads: MTLSizeMake(values.count, 1, 1),
        threadgroup: MTLSizeMake(4, 1, 1))
      let words: [[UInt32]] = run.rows(out, 8)
      let unpacked: [[Float]] = run.rows(back, 4)
      for (i, components) in values.enumerated() {
        for (k, format) in formats.enumerated() {
          var shift = 0
          for (c, bits) in format.bits.enumerated() {
            let low: Float = format.signed ? -1 : 0
            let top = Float(1 << (format.signed ? bits - 1 : bits)) - 1
            let value = components[c].isNaN ? 0 : min(max(components[c], low), 1)
            let isCurved = k == 2 && c < 3
            let stored = isCurved ? (value <= 0.0031308 ? value * 12.92 : 1.055 * powf(value, 1 / 2.4) - 0.055) : value
            let want =
              UInt32(truncatingIfNeeded: Int((stored * top).rounded(.toNearestOrEven))) & ((1 << UInt32(bits)) - 1)
            XCTAssertEqual(
              words[i][k] >> UInt32(shift) & ((1 << UInt32(bits)) - 1), want,
              "\(run.device.name): packing \(k) of \(components)")
            run.check(
              unpacked[i * 8 + k][c], Double(value), "unpacking \(k)", within: Double(isCurved ? 4 : 0.51) / Double(top)
            )
            shift += bits
          }
        }
      }
    }
  }
}
