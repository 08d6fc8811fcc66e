import CMetalFaiss
import CPUKernels

extension HNSW {
  private static let scannedAlways = 256

  /// A walk that may only find some goes through more of the others, as many more as there are. Where that
  /// is more work than to look at all rows that may be found, these are looked at, and the result is exact.
  private func isScanned(_ selected: Int, ef: Int, nq: Int) -> Bool {
    // Counted within a fifth at M = 32: of the links of each node on the list a quarter lead to new nodes.
    let met = min(Double(ef) * Double(count) / Double(max(selected, 1)) * Double(width) / 4, Double(count))
    // A row that is met on a walk takes 66 ns where one in order takes 13, and 5 in a batch (d = 128).
    return selected <= Self.scannedAlways || Double(selected) <= (nq < 16 ? 5 : 12) * met
  }

  func search(
    _ raw: UnsafePointer<mf_search>, _ queries: UnsafePointer<Float>, _ distances: UnsafeMutablePointer<Float>,
    _ labels: UnsafeMutablePointer<Int64>, _ call: Call
  ) throws {
    let request = try Request(raw, ranged: false)
    let d = rows.d
    let steps = raw.pointee.nprobe & MF_HNSW_STEPS != 0
    let ef = max(Int(raw.pointee.nprobe & ~MF_HNSW_STEPS), request.k)
    guard ef < 1 << 31 else { throw Failure.value("k must be below 2^31, not \(request.k)") }
    var allowed: [UInt64]?
    if let selector = request.selector {
      var bits = [UInt64](repeating: 0, count: (count + 63) / 64)
      let selected = selector.select(ids: nil, count: count, into: &bits)
      if isScanned(selected, ef: ef, nq: request.nq) {
        try scan(request, queries, distances, labels, call)
        return
      }
      allowed = bits
    } else if ef >= count {
      // Every row would be on the list.
      try scan(request, queries, distances, labels, call)
      return
    }
    if let at = firstRefused(queries, request.nq * d, allowNaN: allowsNaN, kernels: Engine.shared.kernels) {
      throw refusal(queries, at, d: d, what: "query")
    }
    let graph = self.graph
    let starts = start.nodes(graph, ef)
    let done = try allowed.withPointer { allowed in
      try starts.withPointer { startAt in
        var how = cpu_walk(
          ef: UInt32(ef), k: UInt32(request.k), steps: steps ? UInt32(ef) + 1 : 0,
          start_count: UInt32(starts?.count ?? 0), starts: startAt, allowed: allowed)
        if starts?.isEmpty ?? false { how.starts = nil }
        return try walk(request.nq) { q, walker in
          if call.isCancelled { return }
          withUnsafePointer(to: graph) { graph in
            withUnsafePointer(to: how) { how in
              _ = cpu_hnsw_search(
                walker, graph, queries + q * d, how, distances + q * request.k, labels + q * request.k)
            }
          }
        }
      }
    }
    try call.throwIfCancelled()
    call.pointee.variants = MF_HNSW_WALK.rawValue | (allowed == nil ? 0 : MF_HNSW_FILTERED.rawValue)
    call.pointee.threads = UInt32(done.threads)
    call.pointee.scanned = done.computed
    call.pointee.recomputed = Double(request.nq * min(request.k, count))
  }

  /// Looks at every row that may be found.
  private func scan(
    _ request: Request, _ queries: UnsafePointer<Float>, _ distances: UnsafeMutablePointer<Float>,
    _ labels: UnsafeMutablePointer<Int64>, _ call: Call
  ) throws {
    try rows.scan(request, queries, distances, labels, call)
    call.pointee.variants |= MF_HNSW_SCAN.rawValue
  }
}

private func find(_ handle: UInt32) throws -> HNSW { try HandleTable.shared.find(handle, HNSW.self) }

private func report(_ call: Call, _ done: Walked) {
  call.pointee.threads = UInt32(done.threads)
  call.pointee.scanned = done.computed
}

private func checked(_ ef: UInt32) throws -> Int {
  guard ef >= 1, ef < 1 << 31 else { throw Failure.value("efConstruction must be 1 to 2^31 - 1, not \(ef)") }
  return Int(ef)
}

@_cdecl("mf_hnsw_create")
public func hnswCreate(_ raw: UnsafePointer<mf_hnsw>, _ out: UnsafeMutablePointer<UInt32>, _ call: Call) -> Int32 {
  call.run("create") {
    let made = raw.pointee
    guard made.d >= 1, made.d <= 1 << 20 else { throw Failure.value("d must be 1 to 1,048,576, not \(made.d)") }
    guard made.m >= 1, made.m <= UInt32(CPU_HNSW_MAX_LINKS) else {
      throw Failure.value("m must be 1 to \(CPU_HNSW_MAX_LINKS), not \(made.m)")
    }
    guard made.width >= made.m, made.width <= 2 * UInt32(CPU_HNSW_MAX_LINKS) else {
      throw Failure.value("width must be m to \(2 * CPU_HNSW_MAX_LINKS), not \(made.width)")
    }
    let rows: GraphRows
    if made.codec == 0 {
      rows = .flat(Flat(d: Int(made.d)))
    } else {
      guard made.metric == MF_L2.rawValue || made.metric == MF_INNER_PRODUCT.rawValue else {
        throw Failure.value("codes are compared by L2 or inner product only")
      }
      let codec = try HandleTable.shared.find(made.codec, Codec.self)
      // Walks read codes of these where they lie.
      guard codec.isScalar || (codec.product != nil && !codec.isInBlocks) else {
        throw Failure.value("graphs are over codes of scalar or product quantizers in rows")
      }
      rows = .codes(Codes(codec))
      guard rows.d == Int(made.d) else { throw Failure.shape("codes are of \(rows.d) dimensions, not \(made.d)") }
    }
    let start = try GraphStart(made.start, seed: made.seed)
    out.pointee = try HandleTable.shared.insert(
      HNSW(
        rows, m: Int(made.m), width: Int(made.width), start: start, metric: made.metric, argument: made.metric_arg))
  }
}

@_cdecl("mf_hnsw_add")
public func hnswAdd(
  _ handle: UInt32, _ n: Double, _ x: UnsafeRawPointer?, _ levels: UnsafePointer<UInt8>?, _ ef: UInt32,
  _ call: Call
) -> Int32 {
  call.run("add") {
    let hnsw = try find(handle)
    let n = try count(n, "n")
    let ef = try checked(ef)
    guard n > 0, let x, let levels else { return }
    report(call, try hnsw.lock.writing { try hnsw.add(x, n, levels, ef: ef) })
  }
}

@_cdecl("mf_hnsw_add_rows")
public func hnswAddRows(_ handle: UInt32, _ n: Double, _ x: UnsafeRawPointer?, _ call: Call) -> Int32 {
  call.run("add") {
    let hnsw = try find(handle)
    let n = try count(n, "n")
    guard n > 0, let x else { return }
    try hnsw.lock.writing { try hnsw.rows.add(x, n, allowNaN: hnsw.allowsNaN) }
  }
}

@_cdecl("mf_hnsw_restore")
public func hnswRestore(
  _ handle: UInt32, _ words: Double, _ entry: Double, _ levels: UnsafePointer<UInt8>?, _ links: UnsafePointer<Int32>?,
  _ call: Call
) -> Int32 {
  call.run("restore a graph") {
    let hnsw = try find(handle)
    let words = try count(words, "words")
    let entry = try count(entry, "entry", atLeast: -1)
    guard let levels, let links else { return }
    try hnsw.lock.writing { try hnsw.restore(levels, links, words: words, entry: entry) }
  }
}

@_cdecl("mf_hnsw_graph")
public func hnswGraph(
  _ handle: UInt32, _ sizes: UnsafeMutablePointer<Double>, _ levels: UnsafeMutablePointer<UInt8>?,
  _ links: UnsafeMutablePointer<Int32>?, _ call: Call
) -> Int32 {
  call.run("copy a graph") {
    let hnsw = try find(handle)
    try hnsw.reading {
      if let levels, let links {
        guard sizes[0] == Double(hnsw.count), sizes[1] == Double(hnsw.words) else {
          throw Failure.value("the graph has changed since")
        }
        try hnsw.copyGraph(levels, links)
      }
      sizes[0] = Double(hnsw.count)
      sizes[1] = Double(hnsw.words)
      sizes[2] = hnsw.entry == CPU_NO_NODE ? -1 : Double(hnsw.entry)
    }
  }
}

@_cdecl("mf_hnsw_update")
public func hnswUpdate(
  _ handle: UInt32, _ n: Double, _ rows: UnsafePointer<Int64>?, _ x: UnsafeRawPointer?, _ ef: UInt32, _ call: Call
) -> Int32 {
  call.run("update") {
    let hnsw = try find(handle)
    let n = try count(n, "n")
    let ef = try checked(ef)
    guard n > 0, let rows, let x else { return }
    report(call, try hnsw.lock.writing { try hnsw.update(rows, n, x, ef: ef) })
  }
}

@_cdecl("mf_hnsw_remove")
public func hnswRemove(_ handle: UInt32, _ selector: UInt32, _ removed: UnsafeMutablePointer<Double>, _ call: Call)
  -> Int32
{
  call.run("remove") {
    let hnsw = try find(handle)
    let selector = try HandleTable.shared.find(selector, Selector.self)
    removed.pointee = Double(try hnsw.lock.writing { try hnsw.remove(selector) })
  }
}

@_cdecl("mf_hnsw_clear")
public func hnswClear(_ handle: UInt32, _ call: Call) -> Int32 {
  call.run("clear") {
    let hnsw = try find(handle)
    hnsw.lock.writing { hnsw.clear() }
  }
}

@_cdecl("mf_hnsw_gather")
public func hnswGather(
  _ handle: UInt32, _ n: Double, _ rows: UnsafePointer<Int64>?, _ x: UnsafeMutablePointer<Float>?, _ call: Call
) -> Int32 {
  call.run("get rows") {
    let hnsw = try find(handle)
    let n = try count(n, "n")
    guard n > 0, let rows, let x else { return }
    try hnsw.reading { try hnsw.rows.gather(rows, n, x) }
  }
}

@_cdecl("mf_hnsw_codes")
public func hnswCodes(
  _ handle: UInt32, _ start: Double, _ n: Double, _ codes: UnsafeMutablePointer<UInt8>?, _ call: Call
) -> Int32 {
  call.run("get codes") {
    let hnsw = try find(handle)
    let start = try count(start, "start")
    let n = try count(n, "n")
    guard case .codes(let held) = hnsw.rows else { throw Failure.value("the graph is over rows, not codes") }
    try hnsw.reading { try held.copy(start, n, codes) }
  }
}

@_cdecl("mf_hnsw_search")
public func hnswSearch(
  _ raw: UnsafePointer<mf_search>, _ queries: UnsafePointer<Float>?, _ distances: UnsafeMutablePointer<Float>?,
  _ labels: UnsafeMutablePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("search") {
    let hnsw = try find(raw.pointee.object)
    guard raw.pointee.metric == hnsw.metric else { throw Failure.value("the graph is of another metric") }
    guard raw.pointee.nq > 0, let queries, let distances, let labels else { return }
    try hnsw.reading { try hnsw.search(raw, queries, distances, labels, call) }
  }
}

@_cdecl("mf_hnsw_range_search")
public func hnswRangeSearch(
  _ raw: UnsafePointer<mf_search>, _ queries: UnsafePointer<Float>?, _ lims: UnsafeMutablePointer<UInt64>,
  _ result: UnsafeMutablePointer<UInt32>, _ call: Call
) -> Int32 {
  call.run("search") {
    let hnsw = try find(raw.pointee.object)
    guard raw.pointee.metric == hnsw.metric else { throw Failure.value("the graph is of another metric") }
    let request = try Request(raw, ranged: true)
    let found = RangeResult()
    lims[0] = 0
    if request.nq > 0, let queries {
      try hnsw.reading { try hnsw.rows.scan(request, queries, lims, found, call) }
    }
    call.pointee.variants |= MF_HNSW_SCAN.rawValue
    result.pointee = try HandleTable.shared.insert(found)
  }
}
