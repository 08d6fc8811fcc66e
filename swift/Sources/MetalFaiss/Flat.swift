import CMetalFaiss
import CPUKernels

/// Rows in order of arrival.
final class Flat: Mappable {
  let d: Int
  let lock = ReadWriteLock()
  private(set) var count = 0
  private(set) var rows = Memory<Float>()
  private(set) var map: FileMap?
  private let measuring = Mutex()
  /// Sums of what was ever added: any centre is right, this one keeps products small.
  private var sums: [Double]
  private var squares = 0.0
  private var summed = 0

  init(d: Int) {
    self.d = d
    sums = [Double](repeating: 0, count: d)
  }

  deinit { rows.release() }

  /// Rows that one item of a copy holds.
  private var copied: Int { max(1, (1 << 18) / d) }

  func add(_ x: UnsafePointer<Float>, _ n: Int, allowNaN: Bool) throws {
    guard n <= Int.max / d - count, (count + n).multipliedReportingOverflow(by: d * 4).overflow == false else {
      throw Failure.memory(Int.max)
    }
    let engine = Engine.shared
    try own()
    try rows.grow((count + n) * d, used: count * d)
    let target = rows.start + count * d
    let items = (n + copied - 1) / copied
    let threads = engine.pool.threads
    var partial = [Double](repeating: 0, count: threads * d)
    var square = [Double](repeating: 0, count: threads)
    var bad = [Int](repeating: Int.max, count: threads)
    partial.withUnsafeMutableBufferPointer { partial in
      square.withUnsafeMutableBufferPointer { square in
        bad.withUnsafeMutableBufferPointer { bad in
          _ = engine.pool.forEach(items, parallel: n * d > 100_000) { item, worker in
            let start = item * copied
            let rows = min(copied, n - start)
            let from = x + start * d
            if let at = firstRefused(from, rows * d, allowNaN: allowNaN, kernels: engine.kernels) {
              bad[worker] = min(bad[worker], start * d + at)
              return
            }
            (target + start * d).update(from: from, count: rows * d)
            if !allowNaN {
              engine.kernels.pointee.accumulate(
                from, UInt64(rows), UInt32(d), partial.baseAddress! + worker * d, &square[worker])
            }
          }
        }
      }
    }
    if let at = bad.min(), at < n * d { throw refusal(x, at, d: d, what: "row") }
    for worker in 0..<threads {
      squares += square[worker]
      for j in 0..<d { sums[j] += partial[worker * d + j] }
    }
    summed += n
    count += n
  }

  /// Writes a row over another one.
  func replace(_ row: Int, _ x: UnsafePointer<Float>) throws {
    try own()
    (rows.start + row * d).update(from: x, count: d)
  }

  func append(_ other: Flat) throws {
    try own()
    try rows.grow((count + other.count) * d, used: count * d)
    (rows.start + count * d).update(from: other.rows.start, count: other.count * d)
    other.measure()
    try other.map?.check()
    for j in 0..<d { sums[j] += other.sums[j] }
    squares += other.squares
    summed += other.summed
    count += other.count
  }

  func remove(_ selector: Selector) throws -> Int {
    try own()
    var kept = 0
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 4096) { gone in
      for start in stride(from: 0, to: count, by: 4096) {
        let n = min(4096, count - start)
        let found = selector.select(ids: nil, first: Int64(start), count: n, into: gone.baseAddress!)
        var next = 0
        for i in 0..<n {
          if next < found, gone[next] == UInt32(i) {
            next += 1
            continue
          }
          if kept != start + i { memmove(rows.start + kept * d, rows.start + (start + i) * d, d * 4) }
          kept += 1
        }
      }
    }
    defer { count = kept }
    return count - kept
  }

  func clear() {
    rows.release()
    map = nil
    count = 0
    sums = [Double](repeating: 0, count: d)
    squares = 0
    summed = 0
  }

  /// Takes rows from a file, unseen, into a store that has none.
  func take(_ map: FileMap, at offset: Double, _ n: Int) throws {
    guard count == 0 else { throw Failure.value("there are rows already") }
    let (numbers, overflow) = n.multipliedReportingOverflow(by: d)
    let start = try map.elements(Float.self, at: offset, count: overflow ? Int.max / 8 : numbers, "numbers")
    clear()
    rows = Memory(borrowed: start)
    self.map = map
    count = n
  }

  /// Copies rows that are in a file, before they change.
  private func own() throws {
    guard let map else { return }
    measure()
    try rows.own(count * d)
    try map.check()
    self.map = nil
  }

  /// Sums of some rows of a file stand for those of all, which nobody has read.
  private func measure() {
    if map == nil { return }
    measuring.acquire()
    defer { measuring.release() }
    if summed > 0 { return }
    let kernels = Engine.shared.kernels
    for i in 0..<min(count, 1024) {
      let row = rows.start + i * count / min(count, 1024) * d
      if firstRefused(row, d, allowNaN: false, kernels: kernels) != nil { continue }
      sums.withUnsafeMutableBufferPointer { sums in
        kernels.pointee.accumulate(row, 1, UInt32(d), sums.baseAddress!, &squares)
      }
      summed += 1
    }
  }

  /// Whether rows are too far from the origin to be multiplied as they are.
  var isFarAway: Bool {
    measure()
    guard summed > 0 else { return false }
    let middle = sums.reduce(0) { $0 + ($1 / Double(summed)) * ($1 / Double(summed)) }
    return isFar(middle, spread: squares / Double(summed) - middle)
  }

  /// A point that makes rows short when it is taken from them.
  func center(_ metric: UInt32) -> [Float] {
    measure()
    guard summed > 0 else { return [Float](repeating: 0, count: d) }
    // Cosine compares unit rows.
    let length = metric == MF_COSINE.rawValue ? (squares / Double(summed)).squareRoot() : 1
    guard length > 0, length.isFinite else { return [Float](repeating: 0, count: d) }
    return sums.map { Float($0 / Double(summed) / length) }.map { $0.isFinite ? $0 : 0 }
  }

  var source: cpu_source {
    cpu_source(rows: rows.start, count: UInt64(count), segments: nil, d: UInt32(d), metric: 0, metric_arg: 0, codec: nil,
      centroids: nil)
  }
}

@_cdecl("mf_flat_create")
public func flatCreate(_ d: UInt32, _ out: UnsafeMutablePointer<UInt32>, _ call: Call) -> Int32 {
  call.run("create") {
    guard d >= 1, d <= 1 << 20 else { throw Failure.value("d must be 1 to 1,048,576, not \(d)") }
    out.pointee = try HandleTable.shared.insert(Flat(d: Int(d)))
  }
}

@_cdecl("mf_flat_add")
public func flatAdd(_ handle: UInt32, _ n: Double, _ x: UnsafePointer<Float>?, _ allowNaN: UInt32, _ call: Call) -> Int32 {
  call.run("add") {
    let flat = try HandleTable.shared.find(handle, Flat.self)
    let n = try count(n, "n")
    guard n > 0, let x else { return }
    try flat.lock.writing { try flat.add(x, n, allowNaN: allowNaN != 0) }
  }
}

@_cdecl("mf_flat_map")
public func flatMap(_ handle: UInt32, _ map: UInt32, _ offset: Double, _ n: Double, _ call: Call) -> Int32 {
  call.run("map rows") {
    let flat = try HandleTable.shared.find(handle, Flat.self)
    let map = try HandleTable.shared.find(map, FileMap.self)
    let n = try count(n, "n")
    try flat.lock.writing { try flat.take(map, at: offset, n) }
  }
}

@_cdecl("mf_flat_append")
public func flatAppend(_ handle: UInt32, _ other: UInt32, _ call: Call) -> Int32 {
  call.run("append") {
    let flat = try HandleTable.shared.find(handle, Flat.self)
    let other = try HandleTable.shared.find(other, Flat.self)
    guard flat.d == other.d else { throw Failure.shape("rows of \(other.d) do not fit rows of \(flat.d)") }
    guard flat !== other else { throw Failure.value("a store cannot be appended to itself") }
    try flat.lock.writing { try other.reading { try flat.append(other) } }
  }
}

@_cdecl("mf_flat_get")
public func flatGet(_ handle: UInt32, _ start: Double, _ n: Double, _ x: UnsafeMutablePointer<Float>?, _ call: Call)
  -> Int32
{
  call.run("get rows") {
    let flat = try HandleTable.shared.find(handle, Flat.self)
    let start = try count(start, "start")
    let n = try count(n, "n")
    try flat.reading {
      guard start + n <= flat.count else {
        throw Failure.value("rows \(start) to \(start + n) are not all among \(flat.count)")
      }
      if n > 0, let x { x.update(from: flat.rows.start + start * flat.d, count: n * flat.d) }
    }
  }
}

@_cdecl("mf_flat_gather")
public func flatGather(
  _ handle: UInt32, _ n: Double, _ rows: UnsafePointer<Int64>?, _ x: UnsafeMutablePointer<Float>?, _ call: Call
) -> Int32 {
  call.run("get rows") {
    let flat = try HandleTable.shared.find(handle, Flat.self)
    let n = try count(n, "n")
    try flat.reading {
      guard n > 0, let rows, let x else { return }
      for i in 0..<n where rows[i] < 0 || rows[i] >= Int64(flat.count) {
        throw Failure.value("row \(rows[i]) is not among \(flat.count)")
      }
      for i in 0..<n { (x + i * flat.d).update(from: flat.rows.start + Int(rows[i]) * flat.d, count: flat.d) }
    }
  }
}

@_cdecl("mf_flat_remove")
public func flatRemove(_ handle: UInt32, _ selector: UInt32, _ removed: UnsafeMutablePointer<Double>, _ call: Call)
  -> Int32
{
  call.run("remove") {
    let flat = try HandleTable.shared.find(handle, Flat.self)
    let selector = try HandleTable.shared.find(selector, Selector.self)
    removed.pointee = try flat.lock.writing { Double(try flat.remove(selector)) }
  }
}

@_cdecl("mf_flat_clear")
public func flatClear(_ handle: UInt32, _ call: Call) -> Int32 {
  call.run("clear") {
    let flat = try HandleTable.shared.find(handle, Flat.self)
    flat.lock.writing { flat.clear() }
  }
}

@_cdecl("mf_flat_search")
public func flatSearch(
  _ raw: UnsafePointer<mf_search>, _ queries: UnsafePointer<Float>?, _ distances: UnsafeMutablePointer<Float>?,
  _ labels: UnsafeMutablePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("search") {
    let flat = try HandleTable.shared.find(raw.pointee.object, Flat.self)
    let request = try Request(raw, ranged: false)
    guard request.nq > 0, let queries, let distances, let labels else { return }
    try flat.reading {
      let scan = try FlatScan(flat, request, queries, call)
      try scan.run { search, finished in
        if !finished { search.finishAll(distances, labels) }
      } finish: { search, range in
        search.finish(range, distances, labels)
      }
    }
  }
}

@_cdecl("mf_flat_range_search")
public func flatRangeSearch(
  _ raw: UnsafePointer<mf_search>, _ queries: UnsafePointer<Float>?, _ lims: UnsafeMutablePointer<UInt64>,
  _ result: UnsafeMutablePointer<UInt32>, _ call: Call
) -> Int32 {
  call.run("search") {
    let flat = try HandleTable.shared.find(raw.pointee.object, Flat.self)
    let request = try Request(raw, ranged: true)
    let found = RangeResult()
    lims[0] = 0
    if request.nq > 0, let queries {
      try flat.reading {
        try FlatScan(flat, request, queries, call).run { search, _ in try search.collect(found, lims) }
      }
    }
    result.pointee = try HandleTable.shared.insert(found)
  }
}
