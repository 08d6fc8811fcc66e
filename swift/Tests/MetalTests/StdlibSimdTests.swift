import Metal
import XCTest

/// Operations between lanes, for whole simdgroups and for parts of them, simdgroup matrices, and what threads
/// know of themselves.
final class StdlibSimdTests: XCTestCase {
  private struct Shape {
    let threads: Int, threadgroup: Int
    let active: UInt32
    /// Which threads take part, by simdgroup.
    var simdgroups: [[Int]] {
      var all: [[Int]] = []
      for group in stride(from: 0, to: threads, by: threadgroup) {
        let end = min(group + threadgroup, threads)
        for start in stride(from: group, to: end, by: 32) {
          all.append((start..<min(start + 32, end)).filter { active >> UInt32($0 - start) & 1 == 1 })
        }
      }
      return all.filter { !$0.isEmpty }
    }
    func lane(_ thread: Int) -> Int { thread % threadgroup % 32 }
    /// Those of `lanes` that are in the thread's quadgroup.
    func quad(of thread: Int, in lanes: [Int]) -> [Int] {
      let base = lane(thread) / 4
      return lanes.filter { lane($0) / 4 == base }
    }
    /// A bit for each of some threads of a simdgroup.
    func mask(_ threads: [Int]) -> UInt32 {
      var bits: UInt32 = 0
      for thread in threads { bits |= 1 << UInt32(lane(thread)) }
      return bits
    }
    var grid: (MTLSize, MTLSize) { (MTLSizeMake(threads, 1, 1), MTLSizeMake(threadgroup, 1, 1)) }
  }

  private let shapes = [(64, 64), (50, 50), (96, 40)].flatMap { threads, threadgroup in
    [UInt32.max, 0x0f0f_1234, 1, 0x8000_0000, 0xffff_fffe].map {
      Shape(threads: threads, threadgroup: threadgroup, active: $0)
    }
  }

  /// Powers of two, whose sums and products are exact in any order.
  private func values(_ count: Int) -> [Float] {
    (0..<count).map { [0.5, -1, 2, 1, -2, -0.5, 1, 1][$0 * 5 % 8 ^ $0 / 8 % 8] }
  }

  private func scan<T>(_ values: [T], from start: T, _ op: (T, T) -> T) -> (inclusive: [T], exclusive: [T]) {
    var sums = [start]
    for value in values { sums.append(op(sums.last!, value)) }
    return (Array(sums.dropFirst()), Array(sums.dropLast()))
  }

  func testReductionsAndPrefixes() throws {
    try StdlibRun.each { run in
      for shape in shapes {
        let x = values(shape.threads)
        let v = x.map { Int32($0 * 8) }
        let floats = run.poisoned(shape.threads * 12, Float.self)
        let ints = run.poisoned(shape.threads * 16, Int32.self)
        try run.run(
          "simd_reductions", [run.buffer(x), floats, ints, run.buffer([shape.active])], threads: shape.grid.0,
          threadgroup: shape.grid.1)
        let foundFloats: [[Float]] = run.rows(floats, 12)
        let foundInts: [[Int32]] = run.rows(ints, 16)
        for lanes in shape.simdgroups {
          let own = lanes.map { x[$0] }
          let sums = scan(own, from: 0, +)
          let products = scan(own, from: 1, *)
          let n = Float(lanes.count)
          let whole = lanes.map { v[$0] }
          let totals = scan(whole, from: 0, &+)
          let powers = scan(whole, from: 1, &*)
          for (j, i) in lanes.enumerated() {
            let total = sums.inclusive.last!
            run.check(
              foundFloats[i],
              [
                total, products.inclusive.last!, own.min()!, own.max()!, sums.inclusive[j], sums.exclusive[j],
                products.inclusive[j],
                products.exclusive[j], 3 * n, own.max()!, total, n,
              ],
              "simd operations on float, \(shape), thread \(i)")
            let sum = totals.inclusive.last!
            run.check(
              foundInts[i],
              [
                sum, powers.inclusive.last!, whole.min()!, whole.max()!, totals.inclusive[j], totals.exclusive[j],
                powers.inclusive[j],
                powers.exclusive[j], whole.reduce(-1, &), whole.reduce(0, |), whole.reduce(0, ^), sum, whole.max()!,
                whole.map { Int32(UInt16(truncatingIfNeeded: $0)) }.min()!, sum >> 1, -whole.min()!,
              ],
              "simd operations on int, \(shape), thread \(i)")
          }
        }
        for i in 0..<shape.threads where !shape.simdgroups.joined().contains(i) {
          XCTAssertEqual(foundInts[i][0], Int32(bitPattern: 0xfafa_fafa), "thread \(i) takes no part")
        }
      }
    }
  }

  func testVotes() throws {
    try StdlibRun.each { run in
      for shape in shapes {
        let input: [Int32] = (0..<shape.threads).map { (i: Int) -> Int32 in Int32(i < 64 ? i * 7 % 5 + 1 : i * 7 % 5) }
        let out = run.poisoned(shape.threads * 12, UInt32.self)
        try run.run(
          "simd_votes", [run.buffer(input), out, run.buffer([shape.active])], threads: shape.grid.0,
          threadgroup: shape.grid.1)
        let found: [[UInt32]] = run.rows(out, 12)
        for lanes in shape.simdgroups {
          for i in lanes { run.check(found[i], votes(shape, input, lanes, i), "votes, \(shape), thread \(i)") }
        }
      }
    }
  }

  private func votes(_ shape: Shape, _ input: [Int32], _ lanes: [Int], _ thread: Int) -> [UInt32] {
    func isOdd(_ i: Int) -> Bool { input[i] % 2 != 0 }
    let odd = lanes.filter(isOdd)
    let quad = shape.quad(of: thread, in: lanes)
    let oddQuad = quad.filter(isOdd)
    let ballot = shape.mask(odd)
    let active = shape.mask(lanes)
    let base = UInt32(shape.lane(thread) / 4 * 4)
    func bit(_ condition: Bool) -> UInt32 { condition ? 1 : 0 }
    return [
      ballot, active, bit(odd.count == lanes.count), bit(!odd.isEmpty), bit(thread == lanes[0]), bit(ballot == .max),
      bit(ballot != 0),
      (ballot >> base) & 15, (active >> base) & 15, bit(oddQuad.count == quad.count), bit(!oddQuad.isEmpty),
      bit(thread == quad[0]),
    ]
  }

  func testShuffles() throws {
    let input = (1...64).map { Int32($0) }
    try StdlibRun.each { run in
      for by in [0, 1, 5, 16, 31] {
        let out = run.poisoned(64 * 16, Int32.self)
        try run.run(
          "simd_shuffles", [run.buffer(input), out, run.buffer([UInt32(by)])], threads: MTLSizeMake(64, 1, 1),
          threadgroup: MTLSizeMake(64, 1, 1))
        let found: [[Int32]] = run.rows(out, 16)
        for i in 0..<64 {
          let l = i % 32
          let inner = l % 8
          func at(_ lane: Int) -> Int32 { input[i - l + lane] }
          let wanted: [Int32] = [
            at(by), at(0), at(31 - l), at(l ^ by), at(l >= by ? l - by : l), at(l + by < 32 ? l + by : l),
            at((l + 32 - by) % 32),
            at((l + by) % 32), l >= by ? at(l - by) : -at(32 + l - by), l + by < 32 ? at(l + by) : -at(l + by - 32),
            inner >= 3 ? at(l - 3) : -at(l + 5), inner + 3 < 8 ? at(l + 3) : -at(l - 5), at(by ^ l), 2, at(by), at(by),
          ]
          run.check(found[i], wanted, "shuffles by \(by), thread \(i)")
        }
      }
    }
  }

  func testQuads() throws {
    try StdlibRun.each { run in
      for shape in shapes where shape.active != .max || (shape.threads % 4 == 0 && shape.threadgroup % 4 == 0) {
        let x = values(shape.threads)
        let out = run.poisoned(shape.threads * 22, Float.self)
        try run.run(
          "quads", [run.buffer(x), out, run.buffer([shape.active])], threads: shape.grid.0, threadgroup: shape.grid.1)
        let found: [[Float]] = run.rows(out, 22)
        for lanes in shape.simdgroups {
          for i in lanes {
            let quad = shape.quad(of: i, in: lanes)
            let own = quad.map { x[$0] }
            let j = quad.firstIndex(of: i)!
            let sums = scan(own, from: 0, +)
            let products = scan(own, from: 1, *)
            let whole = own.map { Int32($0) }
            var wanted = [
              sums.inclusive.last!, products.inclusive.last!, own.min()!, own.max()!, sums.inclusive[j],
              sums.exclusive[j],
              products.inclusive[j], products.exclusive[j], Float(whole.reduce(-1, &)), Float(whole.reduce(0, |)),
              Float(whole.reduce(0, ^)), own[0],
            ]
            if shape.active == .max {
              wanted += [
                own[2], own[3 - j], own[j ^ 1], own[max(j - 1, 0)], own[j < 2 ? j + 2 : j], own[(j + 3) % 4],
                own[(j + 1) % 4],
                j > 0 ? own[j - 1] : -own[3], j < 3 ? own[j + 1] : -own[0], own[0],
              ]
            }
            run.check(Array(found[i][..<wanted.count]), wanted, "quads, \(shape), thread \(i)")
          }
        }
      }
    }
  }

  func testSimdgroupMatrices() throws {
    let a = randomFloats(300, seed: 7)
    let b = randomFloats(64, seed: 8)
    let c = randomFloats(64, seed: 9)
    try StdlibRun.each { run in
      let out = run.poisoned(384, Float.self)
      try run.run(
        "matrices_8x8", [run.buffer(a), run.buffer(b), run.buffer(c), out], threads: MTLSizeMake(32, 1, 1),
        threadgroup: MTLSizeMake(32, 1, 1))
      let found = run.rows(out, 384, of: Float.self)[0]
      func left(_ row: Int, _ column: Int) -> Float { a[(row + 1) * 16 + column + 2] }
      // As half: to 11 bits, of normal numbers.
      func rounded(_ x: Float) -> Double {
        let bits = x.bitPattern
        return Double(Float(bitPattern: (bits + 0xfff + ((bits >> 13) & 1)) & ~0x1fff))
      }
      for row in 0..<8 {
        for column in 0..<8 {
          var product = 0.0
          var ofHalves = 0.0
          for k in 0..<8 {
            product += Double(left(row, k)) * Double(b[column * 8 + k])
            ofHalves += rounded(a[row * 8 + k]) * rounded(a[k * 8 + column])
          }
          let at = row * 8 + column
          run.check(found[at], product + Double(c[at]), "A B + C", within: 1e-5)
          run.check(found[64 + column * 8 + row], product, "A B, stored transposed", within: 1e-5)
          run.check(found[128 + at], 3, "a filled matrix")
          run.check(found[192 + at], row == column ? 2 : 0, "a diagonal matrix")
          run.check(found[256 + at], ofHalves + Double(c[at]), "H H + C", within: 1e-5)
        }
      }
      for lane in 0..<32 {
        let quad = lane / 4
        let row = (quad & 4) + lane / 2 % 4
        let column = (quad & 2) * 2 + lane % 2 * 2
        run.check(
          Array(found[320 + lane * 2..<322 + lane * 2]), [left(row, column), left(row, column + 1)],
          "elements of lane \(lane)")
      }
    }
  }

  func testPositions() throws {
    try StdlibRun.each { run in
      for (threads, full) in [([7, 5, 3], [4, 4, 2]), ([64, 1, 1], [64, 1, 1]), ([33, 2, 1], [32, 1, 1])] {
        let count = threads[0] * threads[1] * threads[2]
        let out = run.poisoned(count * 24, UInt32.self)
        try run.run(
          "positions", [out], threads: MTLSizeMake(threads[0], threads[1], threads[2]),
          threadgroup: MTLSizeMake(full[0], full[1], full[2]))
        for (i, row) in run.rows(out, 24, of: UInt32.self).enumerated() {
          let at = [i % threads[0], i / threads[0] % threads[1], i / threads[0] / threads[1]]
          let group = (0..<3).map { at[$0] / full[$0] }
          let inside = (0..<3).map { at[$0] % full[$0] }
          let groups = (0..<3).map { (threads[$0] + full[$0] - 1) / full[$0] }
          let size = (0..<3).map { min(full[$0], threads[$0] - group[$0] * full[$0]) }
          let index = inside[0] + size[0] * (inside[1] + size[1] * inside[2])
          let total = size.reduce(1, *)
          let lanes = min(32, total - index / 32 * 32)
          let scalars = [
            index, index % 32, index / 32, (total + 31) / 32, 32, index / 4, (full.reduce(1, *) + 31) / 32,
            1 << lanes - 1, index / 32 * 32,
          ]
          run.check(
            row, (inside + group + groups + size + full + scalars).map { UInt32($0) },
            "positions of \(at) in \(threads) by \(full)")
        }
      }
    }
  }

  func testThreadgroupMemory() throws {
    let data = randomFloats(4 * 512, seed: 11)
    try StdlibRun.each { run in
      let buffer = run.buffer(data)
      try run.run(
        "reversal", [buffer], threads: MTLSizeMake(512, 1, 1), threadgroup: MTLSizeMake(128, 1, 1),
        threadgroupBytes: 128 * 16)
      let found: [[Float]] = run.rows(buffer, 4)
      for i in 0..<512 {
        let from = i / 128 * 128 + 127 - (i % 128 ^ 1)
        run.check(found[i], data[4 * from..<4 * from + 4].map { $0 + 1 }, "thread \(i)")
      }
    }
  }
}
