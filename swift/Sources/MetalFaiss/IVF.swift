import CMetalFaiss
import CPUKernels

/// Inverted lists: rows with ids, by list. A location is list << 32 | offset.
final class IVF {
  struct List {
    var rows = Memory<Float>()
    var ids = Memory<Int64>()
    var count = 0
  }

  let d: Int
  let lock = ReadWriteLock()
  private(set) var lists: [List]
  /// What scans see of the lists.
  private(set) var segments = Memory<cpu_segment>()
  /// Locations by id, made when first asked for; any change forgets it.
  private var directory: [Int64: Int64]?
  private let directoryLock = Mutex()

  init(d: Int, nlist: Int) throws {
    self.d = d
    lists = [List](repeating: List(), count: nlist)
    try segments.reserve(nlist, used: 0)
    for list in 0..<nlist { publish(list) }
  }

  deinit {
    for list in lists.indices {
      lists[list].rows.release()
      lists[list].ids.release()
    }
    segments.release()
  }

  private func publish(_ list: Int) {
    let held = lists[list]
    segments.start[list] = cpu_segment(rows: held.rows.start, ids: held.ids.start, count: UInt64(held.count))
    directory = nil
  }

  private func reserve(_ list: Int, _ more: Int) throws {
    let count = lists[list].count
    guard count + more < 1 << 32 else { throw Failure.value("list \(list) would hold more than 2^32 rows") }
    try lists[list].rows.grow((count + more) * d, used: count * d)
    try lists[list].ids.grow(count + more, used: count)
    publish(list)
  }

  func add(_ x: UnsafePointer<Float>, _ to: UnsafePointer<Int64>, _ ids: UnsafePointer<Int64>, _ n: Int) throws {
    let engine = Engine.shared
    var starts = [Int](repeating: 0, count: lists.count + 1)
    for i in 0..<n {
      let list = to[i]
      guard list >= -1, list < Int64(lists.count) else {
        throw Failure.value("row \(i) goes to list \(list) of \(lists.count)")
      }
      if list >= 0 { starts[Int(list) + 1] += 1 }
    }
    if let at = firstRefused(x, n * d, allowNaN: false, kernels: engine.kernels) {
      throw refusal(x, at, d: d, what: "row")
    }
    // Room for all before anything is written: a refusal changes nothing.
    for list in lists.indices where starts[list + 1] > 0 { try reserve(list, starts[list + 1]) }
    for list in lists.indices { starts[list + 1] += starts[list] }
    var order = [UInt32](repeating: 0, count: starts[lists.count])
    var at = starts
    for i in 0..<n where to[i] >= 0 {
      order[at[Int(to[i])]] = UInt32(i)
      at[Int(to[i])] += 1
    }
    engine.pool.forEach(lists.count, parallel: n * d > 100_000) { list, _ in
      let count = lists[list].count
      for (slot, i) in order[starts[list]..<starts[list + 1]].enumerated() {
        (lists[list].rows.start + (count + slot) * d).update(from: x + Int(i) * d, count: d)
        lists[list].ids.start[count + slot] = ids[Int(i)]
      }
    }
    for list in lists.indices where starts[list + 1] > starts[list] {
      lists[list].count += starts[list + 1] - starts[list]
      publish(list)
    }
  }

  func append(_ other: IVF, adding: Int64) throws {
    for list in lists.indices where other.lists[list].count > 0 { try reserve(list, other.lists[list].count) }
    for list in lists.indices where other.lists[list].count > 0 {
      let from = other.lists[list]
      let count = lists[list].count
      (lists[list].rows.start + count * d).update(from: from.rows.start, count: from.count * d)
      for i in 0..<from.count { lists[list].ids.start[count + i] = from.ids.start[i] + adding }
      lists[list].count += from.count
      publish(list)
    }
    other.clear()
  }

  func remove(_ selector: Selector) -> Int {
    var removed = 0
    for list in lists.indices where lists[list].count > 0 {
      let held = lists[list]
      var kept = 0
      for i in 0..<held.count where !selector.contains(held.ids.start[i]) {
        if kept != i {
          memmove(held.rows.start + kept * d, held.rows.start + i * d, d * 4)
          held.ids.start[kept] = held.ids.start[i]
        }
        kept += 1
      }
      removed += held.count - kept
      lists[list].count = kept
      publish(list)
    }
    return removed
  }

  func clear() {
    for list in lists.indices {
      lists[list].rows.release()
      lists[list].ids.release()
      lists[list].count = 0
      publish(list)
    }
  }

  func locate(_ ids: UnsafePointer<Int64>, _ n: Int, _ locations: UnsafeMutablePointer<Int64>) {
    directoryLock.acquire()
    defer { directoryLock.release() }
    if directory == nil {
      var found: [Int64: Int64] = [:]
      found.reserveCapacity(lists.reduce(0) { $0 + $1.count })
      for list in lists.indices {
        for i in 0..<lists[list].count { found[lists[list].ids.start[i]] = Int64(list) << 32 | Int64(i) }
      }
      directory = found
    }
    for i in 0..<n { locations[i] = directory![ids[i]] ?? -1 }
  }

  func row(_ location: Int64) throws -> UnsafePointer<Float> {
    let list = Int(location >> 32)
    let offset = Int(location & 0xffff_ffff)
    guard location >= 0, list < lists.count, offset < lists[list].count else {
      throw Failure.value("location \(location) holds no row")
    }
    return UnsafePointer(lists[list].rows.start + offset * d)
  }
}

@_cdecl("mf_ivf_create")
public func ivfCreate(_ d: UInt32, _ nlist: UInt32, _ out: UnsafeMutablePointer<UInt32>, _ call: Call) -> Int32 {
  call.run("create") {
    guard d >= 1, d <= 1 << 20 else { throw Failure.value("d must be 1 to 1,048,576, not \(d)") }
    guard nlist >= 1, nlist < 1 << 31 else { throw Failure.value("nlist must be 1 to 2^31 - 1, not \(nlist)") }
    out.pointee = try HandleTable.shared.insert(try IVF(d: Int(d), nlist: Int(nlist)))
  }
}

@_cdecl("mf_ivf_add")
public func ivfAdd(
  _ handle: UInt32, _ n: Double, _ x: UnsafePointer<Float>?, _ lists: UnsafePointer<Int64>?,
  _ ids: UnsafePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("add") {
    let ivf = try HandleTable.shared.find(handle, IVF.self)
    let n = try count(n, "n")
    guard n < 1 << 32 else { throw Failure.value("n must be below 2^32, not \(n)") }
    guard n > 0, let x, let lists, let ids else { return }
    try ivf.lock.writing { try ivf.add(x, lists, ids, n) }
  }
}

@_cdecl("mf_ivf_append")
public func ivfAppend(_ handle: UInt32, _ other: UInt32, _ addId: Double, _ call: Call) -> Int32 {
  call.run("append") {
    let ivf = try HandleTable.shared.find(handle, IVF.self)
    let other = try HandleTable.shared.find(other, IVF.self)
    guard ivf.d == other.d, ivf.lists.count == other.lists.count else {
      throw Failure.shape("\(other.lists.count) lists of \(other.d) do not fit \(ivf.lists.count) lists of \(ivf.d)")
    }
    guard ivf !== other else { throw Failure.value("lists cannot be appended to themselves") }
    guard addId.magnitude <= 9_007_199_254_740_992 else { throw Failure.value("add_id is out of range") }
    try ivf.lock.writing { try other.lock.writing { try ivf.append(other, adding: Int64(addId)) } }
  }
}

@_cdecl("mf_ivf_sizes")
public func ivfSizes(_ handle: UInt32, _ sizes: UnsafeMutablePointer<Double>, _ call: Call) -> Int32 {
  call.run("get sizes") {
    let ivf = try HandleTable.shared.find(handle, IVF.self)
    ivf.lock.reading { for list in ivf.lists.indices { sizes[list] = Double(ivf.lists[list].count) } }
  }
}

@_cdecl("mf_ivf_get")
public func ivfGet(
  _ handle: UInt32, _ list: UInt32, _ n: Double, _ x: UnsafeMutablePointer<Float>?,
  _ ids: UnsafeMutablePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("get a list") {
    let ivf = try HandleTable.shared.find(handle, IVF.self)
    let n = try count(n, "n")
    try ivf.lock.reading {
      guard Int(list) < ivf.lists.count else { throw Failure.value("list \(list) is not among \(ivf.lists.count)") }
      let held = ivf.lists[Int(list)]
      guard held.count == n else { throw Failure.value("list \(list) holds \(held.count) rows, not \(n)") }
      if let x { x.update(from: held.rows.start, count: held.count * ivf.d) }
      if let ids { ids.update(from: held.ids.start, count: held.count) }
    }
  }
}

@_cdecl("mf_ivf_locate")
public func ivfLocate(
  _ handle: UInt32, _ n: Double, _ ids: UnsafePointer<Int64>?, _ locations: UnsafeMutablePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("locate") {
    let ivf = try HandleTable.shared.find(handle, IVF.self)
    let n = try count(n, "n")
    guard n > 0, let ids, let locations else { return }
    ivf.lock.reading { ivf.locate(ids, n, locations) }
  }
}

@_cdecl("mf_ivf_gather")
public func ivfGather(
  _ handle: UInt32, _ n: Double, _ locations: UnsafePointer<Int64>?, _ x: UnsafeMutablePointer<Float>?, _ call: Call
) -> Int32 {
  call.run("get rows") {
    let ivf = try HandleTable.shared.find(handle, IVF.self)
    let n = try count(n, "n")
    guard n > 0, let locations, let x else { return }
    try ivf.lock.reading {
      for i in 0..<n { (x + i * ivf.d).update(from: try ivf.row(locations[i]), count: ivf.d) }
    }
  }
}

@_cdecl("mf_ivf_remove")
public func ivfRemove(_ handle: UInt32, _ selector: UInt32, _ removed: UnsafeMutablePointer<Double>, _ call: Call)
  -> Int32
{
  call.run("remove") {
    let ivf = try HandleTable.shared.find(handle, IVF.self)
    let selector = try HandleTable.shared.find(selector, Selector.self)
    removed.pointee = ivf.lock.writing { Double(ivf.remove(selector)) }
  }
}

@_cdecl("mf_ivf_clear")
public func ivfClear(_ handle: UInt32, _ call: Call) -> Int32 {
  call.run("clear") {
    let ivf = try HandleTable.shared.find(handle, IVF.self)
    ivf.lock.writing { ivf.clear() }
  }
}

@_cdecl("mf_ivf_search")
public func ivfSearch(
  _ raw: UnsafePointer<mf_search>, _ queries: UnsafePointer<Float>?, _ probes: UnsafePointer<Int64>?,
  _ distances: UnsafeMutablePointer<Float>?, _ labels: UnsafeMutablePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("search") {
    let ivf = try HandleTable.shared.find(raw.pointee.object, IVF.self)
    let request = try Request(raw, ranged: false)
    guard request.nq > 0, let queries, let probes, let distances, let labels else { return }
    try ivf.lock.reading {
      let scan = try IVFScan(ivf, request, queries, probes, Int(raw.pointee.nprobe), call)
      try scan.run(finish: { $0.finish($1, distances, labels) })
    }
  }
}

@_cdecl("mf_ivf_range_search")
public func ivfRangeSearch(
  _ raw: UnsafePointer<mf_search>, _ queries: UnsafePointer<Float>?, _ probes: UnsafePointer<Int64>?,
  _ lims: UnsafeMutablePointer<UInt64>, _ result: UnsafeMutablePointer<UInt32>, _ call: Call
) -> Int32 {
  call.run("search") {
    let ivf = try HandleTable.shared.find(raw.pointee.object, IVF.self)
    let request = try Request(raw, ranged: true)
    let found = RangeResult()
    lims[0] = 0
    if request.nq > 0, let queries, let probes {
      try ivf.lock.reading {
        let scan = try IVFScan(ivf, request, queries, probes, Int(raw.pointee.nprobe), call)
        try scan.run(after: { try $0.collect(found, lims) })
      }
    }
    result.pointee = try HandleTable.shared.insert(found)
  }
}
