import CMetalFaiss
import CPUKernels

/// Codes in order of arrival.
final class Codes: Mappable {
  let codec: Codec
  let lock = ReadWriteLock()
  private(set) var count = 0
  private(set) var bytes = Memory<UInt8>()
  private(set) var map: FileMap?

  init(_ codec: Codec) { self.codec = codec }

  deinit { bytes.release() }

  private var size: Int { codec.codeSize }

  func add(_ codes: UnsafePointer<UInt8>, _ n: Int) throws {
    guard n <= Int.max / size - count else { throw Failure.memory(Int.max) }
    try own()
    try bytes.grow(codec.storedBytes(count + n), used: codec.storedBytes(count))
    codec.put(bytes.start, count, codes, n)
    count += n
  }

  func append(_ other: Codes) throws {
    guard other.count <= Int.max / size - count else { throw Failure.memory(Int.max) }
    try own()
    try bytes.grow(codec.storedBytes(count + other.count), used: codec.storedBytes(count))
    codec.copy(bytes.start, count, from: other.bytes.start, other.count)
    try other.map?.check()
    count += other.count
  }

  /// Writes a code over another.
  func replace(_ row: Int, _ code: UnsafePointer<UInt8>) throws {
    try own()
    codec.put(bytes.start, row, code, 1)
  }

  func copy(_ start: Int, _ n: Int, _ codes: UnsafeMutablePointer<UInt8>?) throws {
    guard start + n <= count else { throw Failure.value("codes \(start) to \(start + n) are not all among \(count)") }
    if n > 0, let codes { codec.get(bytes.start, start, n, codes) }
  }

  func decode(_ row: Int64, _ x: UnsafeMutablePointer<Float>) throws {
    guard row >= 0, row < Int64(count) else { throw Failure.value("row \(row) is not among \(count)") }
    codec.decode(bytes.start, at: Int(row), plus: nil, x)
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
          if kept != start + i { codec.move(bytes.start, to: kept, from: start + i) }
          kept += 1
        }
      }
    }
    defer { count = kept }
    return count - kept
  }

  /// Takes codes from a file, unseen, into a store that has none.
  func take(_ map: FileMap, at offset: Double, _ n: Int) throws {
    guard count == 0 else { throw Failure.value("there are codes already") }
    let (all, overflow) = n.multipliedReportingOverflow(by: size)
    let start = try map.elements(UInt8.self, at: offset, count: overflow ? Int.max : all, "bytes of codes")
    guard !codec.isInBlocks else { throw Failure.value("codes in blocks are not mapped") }
    clear()
    bytes = Memory(borrowed: start)
    self.map = map
    count = n
  }

  /// Copies codes that are in a file, before they change.
  private func own() throws {
    guard let map else { return }
    try bytes.own(codec.storedBytes(count))
    try map.check()
    self.map = nil
  }

  func clear() {
    bytes.release()
    map = nil
    count = 0
  }

  /// Scans all codes for every query.
  func search(
    _ request: Request, _ queries: UnsafePointer<Float>, _ call: Call,
    finish: ((Search, Range<Int>) -> Void)? = nil, after: (Search) throws -> Void = { _ in }
  ) throws {
    let probes = [Int64](repeating: 0, count: request.nq)
    try probes.withUnsafeBufferPointer { probes in
      let rows = CodeScan.Rows(codes: bytes.start, ids: nil, count: count)
      let scan = try CodeScan(codec, 1, { _ in rows }, request, queries, call)
      // Enough items for all threads, though the store be small.
      let parts = 4 * Engine.shared.pool.threads
      var (itemRows, itemQueries) = (max(512, min(4096, count / parts)), 1024)
      if !codec.isScalar, request.nq >= parts {
        // A query's tables are made once an item.
        (itemRows, itemQueries) = (1 << 15, max(1, min(1024, request.nq / parts)))
      }
      try scan.run(
        probes.baseAddress!, 1, itemRows: itemRows, itemQueries: itemQueries, finish: finish, after: after)
    }
  }
}

@_cdecl("mf_codes_create")
public func codesCreate(_ codec: UInt32, _ out: UnsafeMutablePointer<UInt32>, _ call: Call) -> Int32 {
  call.run("create") {
    out.pointee = try HandleTable.shared.insert(Codes(try HandleTable.shared.find(codec, Codec.self)))
  }
}

@_cdecl("mf_codes_add")
public func codesAdd(_ handle: UInt32, _ n: Double, _ codes: UnsafePointer<UInt8>?, _ call: Call) -> Int32 {
  call.run("add") {
    let store = try HandleTable.shared.find(handle, Codes.self)
    let n = try count(n, "n")
    guard n > 0, let codes else { return }
    try store.lock.writing { try store.add(codes, n) }
  }
}

@_cdecl("mf_codes_map")
public func codesMap(_ handle: UInt32, _ map: UInt32, _ offset: Double, _ n: Double, _ call: Call) -> Int32 {
  call.run("map codes") {
    let store = try HandleTable.shared.find(handle, Codes.self)
    let map = try HandleTable.shared.find(map, FileMap.self)
    let n = try count(n, "n")
    try store.lock.writing { try store.take(map, at: offset, n) }
  }
}

@_cdecl("mf_codes_append")
public func codesAppend(_ handle: UInt32, _ other: UInt32, _ call: Call) -> Int32 {
  call.run("append") {
    let store = try HandleTable.shared.find(handle, Codes.self)
    let other = try HandleTable.shared.find(other, Codes.self)
    try store.codec.check(other.codec)
    guard store !== other else { throw Failure.value("a store cannot be appended to itself") }
    try store.lock.writing { try other.reading { try store.append(other) } }
  }
}

@_cdecl("mf_codes_get")
public func codesGet(
  _ handle: UInt32, _ start: Double, _ n: Double, _ codes: UnsafeMutablePointer<UInt8>?, _ call: Call
) -> Int32 {
  call.run("get codes") {
    let store = try HandleTable.shared.find(handle, Codes.self)
    let start = try count(start, "start")
    let n = try count(n, "n")
    try store.reading { try store.copy(start, n, codes) }
  }
}

@_cdecl("mf_codes_gather")
public func codesGather(
  _ handle: UInt32, _ n: Double, _ rows: UnsafePointer<Int64>?, _ x: UnsafeMutablePointer<Float>?, _ call: Call
) -> Int32 {
  call.run("get rows") {
    let store = try HandleTable.shared.find(handle, Codes.self)
    let n = try count(n, "n")
    try store.reading {
      guard n > 0, let rows, let x else { return }
      for i in 0..<n { try store.decode(rows[i], x + i * store.codec.d) }
    }
  }
}

@_cdecl("mf_codes_remove")
public func codesRemove(_ handle: UInt32, _ selector: UInt32, _ removed: UnsafeMutablePointer<Double>, _ call: Call)
  -> Int32
{
  call.run("remove") {
    let store = try HandleTable.shared.find(handle, Codes.self)
    let selector = try HandleTable.shared.find(selector, Selector.self)
    removed.pointee = try store.lock.writing { Double(try store.remove(selector)) }
  }
}

@_cdecl("mf_codes_clear")
public func codesClear(_ handle: UInt32, _ call: Call) -> Int32 {
  call.run("clear") {
    let store = try HandleTable.shared.find(handle, Codes.self)
    store.lock.writing { store.clear() }
  }
}

@_cdecl("mf_codes_search")
public func codesSearch(
  _ raw: UnsafePointer<mf_search>, _ queries: UnsafePointer<Float>?, _ distances: UnsafeMutablePointer<Float>?,
  _ labels: UnsafeMutablePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("search") {
    let store = try HandleTable.shared.find(raw.pointee.object, Codes.self)
    let request = try Request(raw, ranged: false)
    guard request.nq > 0, let queries, let distances, let labels else { return }
    try store.reading {
      try store.search(request, queries, call, finish: { $0.finish($1, distances, labels) })
    }
  }
}

@_cdecl("mf_codes_range_search")
public func codesRangeSearch(
  _ raw: UnsafePointer<mf_search>, _ queries: UnsafePointer<Float>?, _ lims: UnsafeMutablePointer<UInt64>,
  _ result: UnsafeMutablePointer<UInt32>, _ call: Call
) -> Int32 {
  call.run("search") {
    let store = try HandleTable.shared.find(raw.pointee.object, Codes.self)
    let request = try Request(raw, ranged: true)
    let found = RangeResult()
    lims[0] = 0
    if request.nq > 0, let queries {
      try store.reading { try store.search(request, queries, call, after: { try $0.collect(found, lims) }) }
    }
    result.pointee = try HandleTable.shared.insert(found)
  }
}
