import CMetalFaiss
import CPUKernels

/// What a graph is over: rows, or codes that stand for rows. They are given and taken as bytes.
enum GraphRows {
  case flat(Flat)
  case codes(Codes)

  var d: Int {
    switch self {
    case .flat(let flat): flat.d
    case .codes(let codes): codes.codec.d
    }
  }

  var count: Int {
    switch self {
    case .flat(let flat): flat.count
    case .codes(let codes): codes.count
    }
  }

  /// The file that they are in, as long as they are.
  var map: FileMap? {
    switch self {
    case .flat(let flat): flat.map
    case .codes(let codes): codes.map
    }
  }

  /// Takes rows from a file, unseen, into a store that has none.
  func take(_ map: FileMap, at offset: Double, _ n: Int) throws {
    switch self {
    case .flat(let flat): try flat.take(map, at: offset, n)
    case .codes(let codes): try codes.take(map, at: offset, n)
    }
  }

  /// Gives a graph the fields that say where rows are.
  func place(in graph: inout cpu_graph) {
    switch self {
    case .flat(let flat): graph.rows = UnsafePointer(flat.rows.start)
    case .codes(let codes):
      graph.codes = UnsafePointer(codes.bytes.start)
      graph.codec = codes.codec.plain
    }
  }

  /// Throws for numbers that rows may not have.
  func check(_ x: UnsafeRawPointer, _ n: Int, allowNaN: Bool) throws {
    guard case .flat(let flat) = self else { return }
    let x = x.assumingMemoryBound(to: Float.self)
    if let at = firstRefused(x, n * flat.d, allowNaN: allowNaN, kernels: Engine.shared.kernels) {
      throw refusal(x, at, d: flat.d, what: "row")
    }
  }

  func add(_ x: UnsafeRawPointer, _ n: Int, allowNaN: Bool) throws {
    switch self {
    case .flat(let flat): try flat.add(x.assumingMemoryBound(to: Float.self), n, allowNaN: allowNaN)
    case .codes(let codes): try codes.add(x.assumingMemoryBound(to: UInt8.self), n)
    }
  }

  /// Writes the i-th of x over a row.
  func replace(_ row: Int, _ x: UnsafeRawPointer, _ i: Int) throws {
    switch self {
    case .flat(let flat): try flat.replace(row, x.assumingMemoryBound(to: Float.self) + i * flat.d)
    case .codes(let codes):
      let size = codes.codec.codeSize
      try codes.replace(row, x.assumingMemoryBound(to: UInt8.self) + i * size)
    }
  }

  func remove(_ selector: Selector) throws -> Int {
    switch self {
    case .flat(let flat): try flat.remove(selector)
    case .codes(let codes): try codes.remove(selector)
    }
  }

  func clear() {
    switch self {
    case .flat(let flat): flat.clear()
    case .codes(let codes): codes.clear()
    }
  }

  /// See Memory.settle.
  func settle() {
    switch self {
    case .flat(let flat): flat.rows.settle(flat.count * flat.d)
    case .codes(let codes): codes.bytes.settle(codes.count * codes.codec.codeSize)
    }
  }

  func gather(_ rows: UnsafePointer<Int64>, _ n: Int, _ x: UnsafeMutablePointer<Float>) throws {
    let (d, held) = (self.d, count)
    for i in 0..<n where rows[i] < 0 || rows[i] >= Int64(held) {
      throw Failure.value("row \(rows[i]) is not among \(held)")
    }
    switch self {
    case .flat(let flat):
      for i in 0..<n { (x + i * d).update(from: flat.rows.start + Int(rows[i]) * d, count: d) }
    case .codes(let codes):
      for i in 0..<n { try codes.decode(rows[i], x + i * d) }
    }
  }

  /// Looks at every row that may be found, for the nearest.
  func scan(
    _ request: Request, _ queries: UnsafePointer<Float>, _ distances: UnsafeMutablePointer<Float>,
    _ labels: UnsafeMutablePointer<Int64>, _ call: Call
  ) throws {
    switch self {
    case .flat(let flat):
      try FlatScan(flat, request, queries, call).run { search, finished in
        if !finished { search.finishAll(distances, labels) }
      } finish: { search, range in
        search.finish(range, distances, labels)
      }
    case .codes(let codes):
      try codes.search(request, queries, call, finish: { $0.finish($1, distances, labels) })
    }
  }

  /// Looks at every row that may be found, for those within a radius.
  func scan(
    _ request: Request, _ queries: UnsafePointer<Float>, _ lims: UnsafeMutablePointer<UInt64>, _ found: RangeResult,
    _ call: Call
  ) throws {
    switch self {
    case .flat(let flat):
      try FlatScan(flat, request, queries, call).run { search, _ in try search.collect(found, lims) }
    case .codes(let codes):
      try codes.search(request, queries, call, after: { try $0.collect(found, lims) })
    }
  }
}
