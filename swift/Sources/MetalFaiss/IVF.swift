import CMetalFaiss
import CPUKernels

/// Inverted lists of rows of floats.
final class IVF: ListStore<Float> {
  var d: Int { width }

  init(d: Int, nlist: Int) throws { try super.init(width: d, nlist: nlist) }

  override func check(_ x: UnsafePointer<Float>, _ n: Int) throws {
    if let at = firstRefused(x, n * d, allowNaN: false, kernels: Engine.shared.kernels) {
      throw refusal(x, at, d: d, what: "row")
    }
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

@_cdecl("mf_ivf_map")
public func ivfMap(
  _ handle: UInt32, _ map: UInt32, _ sizes: UnsafePointer<Double>?, _ rowsAt: UnsafePointer<Double>?,
  _ idsAt: UnsafePointer<Double>?, _ call: Call
) -> Int32 {
  call.run("map lists") {
    let ivf = try HandleTable.shared.find(handle, IVF.self)
    let map = try HandleTable.shared.find(map, FileMap.self)
    guard let sizes, let rowsAt, let idsAt else { return }
    try ivf.lock.writing { try ivf.take(map, sizes, rowsAt, idsAt) }
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
    try ivf.reading { for list in ivf.lists.indices { sizes[list] = Double(ivf.lists[list].count) } }
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
    try ivf.reading {
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
    try ivf.reading { try ivf.locate(ids, n, locations) }
  }
}

@_cdecl("mf_ivf_keep_map")
public func ivfKeepMap(_ handle: UInt32, _ kind: UInt32, _ call: Call) -> Int32 {
  call.run("set the direct map") {
    let ivf = try HandleTable.shared.find(handle, IVF.self)
    guard let kind = MapKind(rawValue: kind) else { throw Failure.value("there is no direct map of type \(kind)") }
    ivf.lock.writing { ivf.keepMap(kind) }
  }
}

@_cdecl("mf_ivf_update")
public func ivfUpdate(
  _ handle: UInt32, _ n: Double, _ ids: UnsafePointer<Int64>?, _ x: UnsafePointer<Float>?,
  _ lists: UnsafePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("update") {
    let ivf = try HandleTable.shared.find(handle, IVF.self)
    let n = try count(n, "n")
    guard n > 0, let ids, let x, let lists else { return }
    try ivf.lock.writing { try ivf.update(ids, x, lists, n) }
  }
}

@_cdecl("mf_ivf_ids")
public func ivfIds(
  _ handle: UInt32, _ n: Double, _ locations: UnsafePointer<Int64>?, _ ids: UnsafeMutablePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("get ids") {
    let ivf = try HandleTable.shared.find(handle, IVF.self)
    let n = try count(n, "n")
    guard n > 0, let locations, let ids else { return }
    try ivf.reading { for i in 0..<n { ids[i] = try ivf.id(locations[i]) } }
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
    try ivf.reading {
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
    removed.pointee = try ivf.lock.writing { Double(try ivf.remove(selector)) }
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
    try ivf.reading {
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
      try ivf.reading {
        let scan = try IVFScan(ivf, request, queries, probes, Int(raw.pointee.nprobe), call)
        try scan.run(after: { try $0.collect(found, lims) })
      }
    }
    result.pointee = try HandleTable.shared.insert(found)
  }
}
