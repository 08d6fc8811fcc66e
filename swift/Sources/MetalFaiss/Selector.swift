import CMetalFaiss

/// Which ids take part in an operation: a postfix program over masks of 64 ids.
final class Selector {
  private enum Step {
    case all
    case range(Int64, Int64)
    case set(IdSet)
    case bitmap(start: Int64, words: [UInt64], bits: Int64)
    case not, and, or, xor
  }

  /// Sorted ids that span too much for a bitmap.
  struct IdSet {
    let sorted: [Int64]
    func contains(_ id: Int64) -> Bool {
      var low = 0
      var high = sorted.count
      while low < high {
        let middle = (low + high) / 2
        if sorted[middle] < id { low = middle + 1 } else { high = middle }
      }
      return low < sorted.count && sorted[low] == id
    }
  }

  private var steps: [Step] = []
  private let depth: Int
  /// The ids as they were given, where the program is but a list of them.
  private(set) var listed: [Int64]?

  init(_ program: UnsafeRawBufferPointer) throws {
    var at = 0
    var height = 0
    var deepest = 0
    func take(_ bytes: Int) throws -> Int {
      guard bytes >= 0, bytes <= program.count - at else { throw Failure.shape("the selector's program is cut short") }
      defer { at += bytes }
      return at
    }
    func operands(_ wanted: Int) throws {
      guard height >= wanted else { throw Failure.shape("the selector's program lacks an operand") }
      height -= wanted - 1
    }
    while at < program.count {
      let head = try take(24)
      let op = program.loadUnaligned(fromByteOffset: head, as: UInt32.self)
      let a = program.loadUnaligned(fromByteOffset: head + 8, as: Int64.self)
      let b = program.loadUnaligned(fromByteOffset: head + 16, as: Int64.self)
      switch op {
      case 0: steps.append(.all)
      case 1: steps.append(.range(a, b))
      case 2:
        guard a >= 0, a <= Int64(program.count / 8) else { throw Failure.shape("the selector claims \(a) ids") }
        let start = try take(Int(a) * 8)
        var ids = (0..<Int(a)).map { program.loadUnaligned(fromByteOffset: start + $0 * 8, as: Int64.self) }
        if head == 0, at == program.count { listed = ids }
        ids.sort()
        steps.append(Self.compact(ids))
      case 3:
        guard a >= 0, a <= Int64(program.count) else { throw Failure.shape("the selector claims \(a) bytes") }
        let start = try take((Int(a) + 7) / 8 * 8)
        var words = [UInt64](repeating: 0, count: (Int(a) + 7) / 8)
        words.withUnsafeMutableBytes { $0.copyMemory(from: UnsafeRawBufferPointer(rebasing: program[start..<start + Int(a)])) }
        steps.append(.bitmap(start: 0, words: words, bits: a * 8))
      case 4:
        try operands(1)
        steps.append(.not)
      case 5, 6, 7:
        try operands(2)
        steps.append(op == 5 ? .and : op == 6 ? .or : .xor)
      default: throw Failure.shape("the selector has an unknown step \(op)")
      }
      if op < 4 { height += 1 }
      deepest = max(deepest, height)
    }
    guard height == 1 else { throw Failure.shape("the selector's program leaves \(height) masks") }
    depth = deepest
  }

  /// A bitmap when the ids lie close together: one test an id.
  private static func compact(_ sorted: [Int64]) -> Step {
    guard let first = sorted.first, let last = sorted.last else { return .bitmap(start: 0, words: [], bits: 0) }
    let (span, overflow) = last.subtractingReportingOverflow(first)
    guard !overflow, span < max(1 << 20, Int64(sorted.count) * 64) else { return .set(IdSet(sorted: sorted)) }
    let start = first & ~63
    var words = [UInt64](repeating: 0, count: Int((last - start) >> 6) + 1)
    for id in sorted { words[Int((id - start) >> 6)] |= 1 << UInt64((id - start) & 63) }
    return .bitmap(start: start, words: words, bits: Int64(words.count) * 64)
  }

  func contains(_ id: Int64) -> Bool {
    withUnsafePointer(to: id) { mask(ids: $0, first: 0, count: 1) & 1 == 1 }
  }

  /// Appends to `positions` those of 0..<count whose id is selected: ids[i], or first + i.
  func select(ids: UnsafePointer<Int64>?, first: Int64, count: Int, into positions: UnsafeMutablePointer<UInt32>) -> Int {
    var found = 0
    for at in stride(from: 0, to: count, by: 64) {
      let ids = ids.map { $0 + at }
      var mask = mask(ids: ids, first: first + Int64(at), count: min(64, count - at))
      while mask != 0 {
        positions[found] = UInt32(at + mask.trailingZeroBitCount)
        found += 1
        mask &= mask - 1
      }
    }
    return found
  }

  /// How many of some ids are selected.
  func count(ids: UnsafePointer<Int64>, count: Int) -> Int {
    var found = 0
    for at in stride(from: 0, to: count, by: 64) {
      found += mask(ids: ids + at, first: 0, count: min(64, count - at)).nonzeroBitCount
    }
    return found
  }

  /// The selected of 0..<count as bits, 64 a word, by ids[i] or first + i. Returns how many there are.
  func select(ids: UnsafePointer<Int64>?, first: Int64 = 0, count: Int, into bitmap: UnsafeMutableRawPointer) -> Int {
    var found = 0
    for at in stride(from: 0, to: count, by: 64) {
      let ids = ids.map { $0 + at }
      let mask = mask(ids: ids, first: first + Int64(at), count: min(64, count - at))
      bitmap.storeBytes(of: mask.littleEndian, toByteOffset: at / 8, as: UInt64.self)
      found += mask.nonzeroBitCount
    }
    return found
  }

  private func mask(ids: UnsafePointer<Int64>?, first: Int64, count: Int) -> UInt64 {
    let valid: UInt64 = count == 64 ? ~0 : (1 << UInt64(count)) - 1
    return withUnsafeTemporaryAllocation(of: UInt64.self, capacity: depth) { stack in
      var top = -1
      func push(_ test: (Int64) -> Bool) {
        var mask: UInt64 = 0
        for i in 0..<count where test(ids.map { $0[i] } ?? first + Int64(i)) { mask |= 1 << UInt64(i) }
        top += 1
        stack[top] = mask
      }
      for step in steps {
        switch step {
        case .all:
          top += 1
          stack[top] = valid
        case .range(let low, let high): push { $0 >= low && $0 < high }
        case .set(let set): push { set.contains($0) }
        case .bitmap(let start, let words, let bits):
          if ids == nil, first & 63 == 0, first >= start {
            let word = (first - start) >> 6
            top += 1
            stack[top] = word < Int64(words.count) ? words[Int(word)] & valid : 0
          } else {
            words.withUnsafeBufferPointer { words in
              push { id in
                let (bit, overflow) = id.subtractingReportingOverflow(start)
                return !overflow && bit >= 0 && bit < bits && words[Int(bit >> 6)] >> UInt64(bit & 63) & 1 == 1
              }
            }
          }
        case .not: stack[top] = ~stack[top] & valid
        case .and:
          top -= 1
          stack[top] &= stack[top + 1]
        case .or:
          top -= 1
          stack[top] |= stack[top + 1]
        case .xor:
          top -= 1
          stack[top] ^= stack[top + 1]
        }
      }
      return stack[0]
    }
  }
}

@_cdecl("mf_selector_create")
public func selectorCreate(_ bytes: Double, _ program: UnsafePointer<UInt8>?, _ out: UnsafeMutablePointer<UInt32>, _ call: Call)
  -> Int32
{
  call.run("select") {
    let program = UnsafeRawBufferPointer(start: program, count: try count(bytes, "bytes"))
    out.pointee = try HandleTable.shared.insert(try Selector(program))
  }
}

@_cdecl("mf_selector_bitmap")
public func selectorBitmap(
  _ selector: UInt32, _ n: Double, _ ids: UnsafePointer<Int64>?, _ bitmap: UnsafeMutablePointer<UInt8>?, _ call: Call
) -> Int32 {
  call.run("select") {
    let selector = try HandleTable.shared.find(selector, Selector.self)
    guard let bitmap else { return }
    let found = selector.select(ids: ids, count: try count(n, "n"), into: bitmap)
    call.pointee.scanned = Double(found)
  }
}
