import CMetalFaiss
import CPUKernels

/// Inverted lists of codes, perhaps of what vectors differ from the centroids of their lists by.
final class CodeLists: ListStore<UInt8> {
  let codec: Codec
  private var centroids = Memory<Float>()
  private let isResidual: Bool

  init(_ codec: Codec, _ nlist: Int, _ from: UnsafePointer<Float>?) throws {
    self.codec = codec
    isResidual = from != nil
    try super.init(width: codec.codeSize, nlist: nlist)
    guard let from else { return }
    let count = nlist * codec.d
    if let at = firstRefused(from, count, allowNaN: false, kernels: Engine.shared.kernels) {
      throw refusal(from, at, d: codec.d, what: "centroid")
    }
    try centroids.reserve(count, used: 0)
    centroids.start.update(from: from, count: count)
  }

  deinit { centroids.release() }

  /// What the code at a location stands for.
  func decode(_ location: Int64, _ x: UnsafeMutablePointer<Float>) throws {
    let (list, offset) = try place(location)
    let centroid = centroids.start + list * codec.d
    codec.decode(lists[list].rows.start, at: offset, plus: isResidual ? UnsafePointer(centroid) : nil, x)
  }

  override func stored(_ rows: Int) -> Int { codec.storedBytes(rows) }
  override func put(_ rows: UnsafeMutablePointer<UInt8>, _ at: Int, _ row: UnsafePointer<UInt8>) {
    codec.put(rows, at, row, 1)
  }
  override func copy(_ rows: UnsafeMutablePointer<UInt8>, _ at: Int, from other: UnsafePointer<UInt8>, _ n: Int) {
    codec.copy(rows, at, from: other, n)
  }
  override func move(_ rows: UnsafeMutablePointer<UInt8>, to: Int, from: Int) { codec.move(rows, to: to, from: from) }

  func scan(_ request: Request, _ queries: UnsafePointer<Float>, _ call: Call) throws -> CodeScan {
    try CodeScan(
      codec, lists.count,
      { [self] list in
        let held = lists[list]
        return CodeScan.Rows(codes: held.rows.start, ids: UnsafePointer(held.ids.start), count: held.count)
      }, segments: segments.start, centroids: isResidual ? UnsafePointer(centroids.start) : nil, request, queries, call)
  }
}

@_cdecl("mf_lists_create")
public func listsCreate(
  _ codec: UInt32, _ nlist: UInt32, _ centroids: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<UInt32>,
  _ call: Call
) -> Int32 {
  call.run("create") {
    let codec = try HandleTable.shared.find(codec, Codec.self)
    guard nlist >= 1, nlist < 1 << 31 else { throw Failure.value("nlist must be 1 to 2^31 - 1, not \(nlist)") }
    out.pointee = try HandleTable.shared.insert(try CodeLists(codec, Int(nlist), centroids))
  }
}

@_cdecl("mf_lists_add")
public func listsAdd(
  _ handle: UInt32, _ n: Double, _ codes: UnsafePointer<UInt8>?, _ lists: UnsafePointer<Int64>?,
  _ ids: UnsafePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("add") {
    let store = try HandleTable.shared.find(handle, CodeLists.self)
    let n = try count(n, "n")
    guard n < 1 << 32 else { throw Failure.value("n must be below 2^32, not \(n)") }
    guard n > 0, let codes, let lists, let ids else { return }
    try store.lock.writing { try store.add(codes, lists, ids, n) }
  }
}

@_cdecl("mf_lists_map")
public func listsMap(
  _ handle: UInt32, _ map: UInt32, _ sizes: UnsafePointer<Double>?, _ rowsAt: UnsafePointer<Double>?,
  _ idsAt: UnsafePointer<Double>?, _ call: Call
) -> Int32 {
  call.run("map lists") {
    let store = try HandleTable.shared.find(handle, CodeLists.self)
    let map = try HandleTable.shared.find(map, FileMap.self)
    guard let sizes, let rowsAt, let idsAt else { return }
    try store.lock.writing { try store.take(map, sizes, rowsAt, idsAt) }
  }
}

@_cdecl("mf_lists_append")
public func listsAppend(_ handle: UInt32, _ other: UInt32, _ addId: Double, _ call: Call) -> Int32 {
  call.run("append") {
    let store = try HandleTable.shared.find(handle, CodeLists.self)
    let other = try HandleTable.shared.find(other, CodeLists.self)
    try store.codec.check(other.codec)
    guard store.lists.count == other.lists.count else {
      throw Failure.shape("\(other.lists.count) lists do not fit \(store.lists.count) lists")
    }
    guard store !== other else { throw Failure.value("lists cannot be appended to themselves") }
    guard addId.magnitude <= 9_007_199_254_740_992 else { throw Failure.value("add_id is out of range") }
    try store.lock.writing { try other.lock.writing { try store.append(other, adding: Int64(addId)) } }
  }
}

@_cdecl("mf_lists_sizes")
public func listsSizes(_ handle: UInt32, _ sizes: UnsafeMutablePointer<Double>, _ call: Call) -> Int32 {
  call.run("get sizes") {
    let store = try HandleTable.shared.find(handle, CodeLists.self)
    try store.reading { for list in store.lists.indices { sizes[list] = Double(store.lists[list].count) } }
  }
}

@_cdecl("mf_lists_get")
public func listsGet(
  _ handle: UInt32, _ list: UInt32, _ n: Double, _ codes: UnsafeMutablePointer<UInt8>?,
  _ ids: UnsafeMutablePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("get a list") {
    let store = try HandleTable.shared.find(handle, CodeLists.self)
    let n = try count(n, "n")
    try store.reading {
      guard Int(list) < store.lists.count else { throw Failure.value("list \(list) is not among \(store.lists.count)") }
      let held = store.lists[Int(list)]
      guard held.count == n else { throw Failure.value("list \(list) holds \(held.count) rows, not \(n)") }
      if let codes { store.codec.get(held.rows.start, 0, held.count, codes) }
      if let ids { ids.update(from: held.ids.start, count: held.count) }
    }
  }
}

@_cdecl("mf_lists_locate")
public func listsLocate(
  _ handle: UInt32, _ n: Double, _ ids: UnsafePointer<Int64>?, _ locations: UnsafeMutablePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("locate") {
    let store = try HandleTable.shared.find(handle, CodeLists.self)
    let n = try count(n, "n")
    guard n > 0, let ids, let locations else { return }
    try store.reading { try store.locate(ids, n, locations) }
  }
}

@_cdecl("mf_lists_keep_map")
public func listsKeepMap(_ handle: UInt32, _ kind: UInt32, _ call: Call) -> Int32 {
  call.run("set the direct map") {
    let store = try HandleTable.shared.find(handle, CodeLists.self)
    guard let kind = MapKind(rawValue: kind) else { throw Failure.value("there is no direct map of type \(kind)") }
    store.lock.writing { store.keepMap(kind) }
  }
}

@_cdecl("mf_lists_update")
public func listsUpdate(
  _ handle: UInt32, _ n: Double, _ ids: UnsafePointer<Int64>?, _ codes: UnsafePointer<UInt8>?,
  _ lists: UnsafePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("update") {
    let store = try HandleTable.shared.find(handle, CodeLists.self)
    let n = try count(n, "n")
    guard n > 0, let ids, let codes, let lists else { return }
    try store.lock.writing { try store.update(ids, codes, lists, n) }
  }
}

@_cdecl("mf_lists_ids")
public func listsIds(
  _ handle: UInt32, _ n: Double, _ locations: UnsafePointer<Int64>?, _ ids: UnsafeMutablePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("get ids") {
    let store = try HandleTable.shared.find(handle, CodeLists.self)
    let n = try count(n, "n")
    guard n > 0, let locations, let ids else { return }
    try store.reading { for i in 0..<n { ids[i] = try store.id(locations[i]) } }
  }
}

@_cdecl("mf_lists_gather")
public func listsGather(
  _ handle: UInt32, _ n: Double, _ locations: UnsafePointer<Int64>?, _ x: UnsafeMutablePointer<Float>?, _ call: Call
) -> Int32 {
  call.run("get rows") {
    let store = try HandleTable.shared.find(handle, CodeLists.self)
    let n = try count(n, "n")
    guard n > 0, let locations, let x else { return }
    try store.reading {
      for i in 0..<n { try store.decode(locations[i], x + i * store.codec.d) }
    }
  }
}

@_cdecl("mf_lists_remove")
public func listsRemove(_ handle: UInt32, _ selector: UInt32, _ removed: UnsafeMutablePointer<Double>, _ call: Call)
  -> Int32
{
  call.run("remove") {
    let store = try HandleTable.shared.find(handle, CodeLists.self)
    let selector = try HandleTable.shared.find(selector, Selector.self)
    removed.pointee = try store.lock.writing { Double(try store.remove(selector)) }
  }
}

@_cdecl("mf_lists_clear")
public func listsClear(_ handle: UInt32, _ call: Call) -> Int32 {
  call.run("clear") {
    let store = try HandleTable.shared.find(handle, CodeLists.self)
    store.lock.writing { store.clear() }
  }
}

@_cdecl("mf_lists_search")
public func listsSearch(
  _ raw: UnsafePointer<mf_search>, _ queries: UnsafePointer<Float>?, _ probes: UnsafePointer<Int64>?,
  _ distances: UnsafeMutablePointer<Float>?, _ labels: UnsafeMutablePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("search") {
    let store = try HandleTable.shared.find(raw.pointee.object, CodeLists.self)
    let request = try Request(raw, ranged: false)
    guard request.nq > 0, let queries, let probes, let distances, let labels else { return }
    try store.reading {
      let scan = try store.scan(request, queries, call)
      try scan.run(probes, Int(raw.pointee.nprobe), finish: { $0.finish($1, distances, labels) })
    }
  }
}

@_cdecl("mf_lists_range_search")
public func listsRangeSearch(
  _ raw: UnsafePointer<mf_search>, _ queries: UnsafePointer<Float>?, _ probes: UnsafePointer<Int64>?,
  _ lims: UnsafeMutablePointer<UInt64>, _ result: UnsafeMutablePointer<UInt32>, _ call: Call
) -> Int32 {
  call.run("search") {
    let store = try HandleTable.shared.find(raw.pointee.object, CodeLists.self)
    let request = try Request(raw, ranged: true)
    let found = RangeResult()
    lims[0] = 0
    if request.nq > 0, let queries, let probes {
      try store.reading {
        let scan = try store.scan(request, queries, call)
        try scan.run(probes, Int(raw.pointee.nprobe), after: { try $0.collect(found, lims) })
      }
    }
    result.pointee = try HandleTable.shared.insert(found)
  }
}
