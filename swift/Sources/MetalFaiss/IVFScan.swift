import CMetalFaiss
import CPUKernels

/// How inverted lists are scanned: the queries of a block are grouped by list, and each list is read once
/// for all that probe it. faiss reads it once for each.
struct IVFScan {
  private let ivf: IVF
  private let search: Search
  private let probes: UnsafePointer<Int64>
  private let nprobe: Int

  /// Part of a list and the queries that probe it.
  private struct Item {
    let list: Int
    let rows: Range<Int>
    let queries: Range<Int>
  }

  private static let directQueries = 4
  private static let panelQueries = Int(CPU_MAX_QUERIES)
  private static let itemRows = 4096
  /// Rows of the last items when a query is alone: threads end together.
  private static let lastRows = 512
  private static let itemQueries = 1024
  /// Rows that give a list its centre: near enough to its mean.
  private static let centerRows = 32

  init(
    _ ivf: IVF, _ request: Request, _ queries: UnsafePointer<Float>, _ probes: UnsafePointer<Int64>, _ nprobe: Int,
    _ call: Call
  ) throws {
    self.ivf = ivf
    self.probes = probes
    self.nprobe = nprobe
    let source = cpu_source(
      rows: nil, count: 0, segments: ivf.segments.start, d: UInt32(ivf.d), metric: request.metric, metric_arg: request.argument)
    search = try Search(request, queries: queries, source: source, call: call)
    for i in 0..<request.nq * nprobe where probes[i] < -1 || probes[i] >= Int64(ivf.lists.count) {
      throw Failure.value("query \(i / nprobe) probes list \(probes[i]) of \(ivf.lists.count)")
    }
  }

  /// Scans block by block. `finish` writes a query's results as soon as its last list is scanned, while
  /// rows are warm; `after` sees the whole block.
  func run(finish: ((Search, Range<Int>) -> Void)? = nil, after: (Search) throws -> Void = { _ in }) throws {
    var scanned = 0.0
    for start in stride(from: 0, to: search.request.nq, by: search.blockSize) {
      search.begin(start)
      let (items, order) = group()
      var work = 0
      for item in items { work += item.rows.count * item.queries.count }
      var left = [UInt32](repeating: 0, count: search.count)
      for item in items { for slot in item.queries { left[Int(order[slot])] += 1 } }
      if let finish { for query in 0..<search.count where left[query] == 0 { finish(search, query..<query + 1) } }
      try left.withUnsafeMutableBufferPointer { left in
        try order.withUnsafeBufferPointer { order in
          try scan(items, order.baseAddress, work) { query in
            if cpu_atomic_down(left.baseAddress! + query) == 0 { finish?(search, query..<query + 1) }
          }
        }
      }
      scanned += Double(work)
      try search.call.throwIfCancelled()
      try after(search)
      try search.end()
    }
    search.call.pointee.scanned = scanned
  }

  /// Queries of the block by list, and the items they make.
  private func group() -> ([Item], [UInt32]) {
    let block = probes + search.first * nprobe
    let pairs = search.count * nprobe
    // Alone, a query takes its lists as they come: sorting would cost as much as scanning one.
    if search.count == 1 {
      var items: [Item] = []
      items.reserveCapacity(pairs)
      var left = 0
      for i in 0..<pairs where block[i] >= 0 { left += ivf.lists[Int(block[i])].count }
      for i in 0..<pairs where block[i] >= 0 {
        let step = search.engine.pool.share(of: left, least: Self.lastRows, most: Self.itemRows)
        append(&items, Int(block[i]), 0..<1, step: step)
        left -= ivf.lists[Int(block[i])].count
      }
      return (items, [0])
    }
    var starts = [Int](repeating: 0, count: ivf.lists.count + 1)
    for i in 0..<pairs where block[i] >= 0 { starts[Int(block[i]) + 1] += 1 }
    for list in ivf.lists.indices { starts[list + 1] += starts[list] }
    var order = [UInt32](repeating: 0, count: starts[ivf.lists.count])
    var at = starts
    for i in 0..<pairs where block[i] >= 0 {
      let list = Int(block[i])
      order[at[list]] = UInt32(i / nprobe)
      at[list] += 1
    }
    var items: [Item] = []
    for list in ivf.lists.indices where starts[list + 1] > starts[list] {
      append(&items, list, starts[list]..<starts[list + 1])
    }
    return (items, order)
  }

  private func append(_ items: inout [Item], _ list: Int, _ queries: Range<Int>, step: Int = itemRows) {
    let count = ivf.lists[list].count
    for row in stride(from: 0, to: count, by: step) {
      let rows = row..<min(row + step, count)
      for query in stride(from: queries.lowerBound, to: queries.upperBound, by: Self.itemQueries) {
        items.append(Item(list: list, rows: rows, queries: query..<min(query + Self.itemQueries, queries.upperBound)))
      }
    }
  }

  /// Scans items; `done` is told each query of an item after it.
  private func scan(_ items: [Item], _ order: UnsafePointer<UInt32>?, _ work: Int, _ done: (Int) -> Void) throws {
    guard let order else { return }
    var variant = search.preferredTile
    var seen = 0.0
    let used = search.engine.pool.forEach(items.count, parallel: work * ivf.d > 100_000) { at, worker in
      if search.call.isCancelled { return }
      let item = items[at]
      search.workspaces.run(worker) { try scan(item, order + item.queries.lowerBound, variant, $0) }
      for slot in item.queries { done(Int(order[slot])) }
      if worker == 0, variant == MF_TILE_BF16.rawValue {
        seen += Double(item.rows.count * item.queries.count)
        if at & 63 == 63, search.isTooCoarse(2 * seen) { variant = MF_TILE_F32.rawValue }
      }
    }
    search.threads = max(search.threads, used)
    try search.workspaces.rethrow()
  }

  private func scan(_ item: Item, _ order: UnsafePointer<UInt32>, _ variant: UInt32, _ workspace: Workspace) throws {
    let d = ivf.d
    let kernels = search.engine.kernels
    let list = ivf.lists[item.list]
    let base = list.rows.start + item.rows.lowerBound * d
    let location = UInt64(item.list) << 32 | UInt64(item.rows.lowerBound)
    var chosen = item.rows.count
    var positions: UnsafeMutablePointer<UInt32>?
    if let selector = search.request.selector {
      let room = try workspace.positions(chosen)
      chosen = selector.select(ids: list.ids.start + item.rows.lowerBound, first: 0, count: chosen, into: room)
      positions = room
    }
    if chosen == 0 { return }
    let nq = UInt32(item.queries.count)
    let few = item.queries.count <= Self.directQueries || chosen * item.queries.count < 256
    try withUnsafePointer(to: search.scan) { scan in
      if !search.request.isTiled {
        search.variants |= MF_PAIRWISE_F64.rawValue
        for q in stride(from: 0, to: nq, by: 16) where !search.call.isCancelled {
          cpu_scan_pairs(scan, order + Int(q), 0, min(16, nq - q), base, location, positions, UInt64(chosen))
        }
        return
      }
      if few {
        search.variants |= MF_DIRECT_F32.rawValue
        cpu_scan_direct(scan, order, 0, nq, base, location, positions, UInt64(chosen))
        return
      }
      try withUnsafeTemporaryAllocation(of: Float.self, capacity: d) { center in
        let isPanel = item.queries.count <= Self.panelQueries
        // Panels of cosine have no use for a centre.
        let inPlace =
          isPanel && search.request.metric == MF_COSINE.rawValue
          || setCenter(center.baseAddress!, base, item.rows.count) && isPanel
        let variant = inPlace ? MF_PANEL_F32.rawValue : variant
        search.variants |= variant
        let scratch = try workspace.prepareScratch(d: d)
        var queries = try workspace.queries(kernels, variant: variant, n: Int(nq), d: d)
        queries.index = order
        if inPlace {
          let center = search.request.metric == MF_L2.rawValue ? UnsafePointer(center.baseAddress!) : nil
          cpu_pack_queries(scan, center, &queries, scratch)
          cpu_scan_panels(scan, &queries, center, base, location, positions, UInt64(chosen))
          return
        }
        cpu_pack_queries(scan, center.baseAddress!, &queries, scratch)
        let panel = Int(kernels.pointee.panel)
        let block = max(panel, min(2048, (256 << 10) / (d * 4) / panel * panel))
        for from in stride(from: 0, to: chosen, by: block) {
          var rows = try workspace.rows(kernels, variant: variant, n: min(block, chosen - from), d: d)
          rows.positions = positions.map { UnsafePointer($0 + from) }
          let skipped = positions == nil ? from : 0
          rows.first = location + UInt64(skipped)
          cpu_pack_rows(scan, center.baseAddress!, base + skipped * d, &rows, scratch)
          cpu_scan_tiles(scan, &queries, &rows)
        }
      }
    }
  }

  /// Writes the mean of some rows of a list. Answers whether they lie near enough to the origin, for
  /// what they differ, to be multiplied as they are.
  private func setCenter(_ center: UnsafeMutablePointer<Float>, _ base: UnsafePointer<Float>, _ n: Int) -> Bool {
    let d = ivf.d
    let kernels = search.engine.kernels
    let used = min(n, Self.centerRows)
    center.update(repeating: 0, count: d)
    let cosine = search.request.metric == MF_COSINE.rawValue
    for i in 0..<used {
      var scale = 1 / Float(used)
      if cosine {
        let square = kernels.pointee.pair(MF_INNER_PRODUCT.rawValue, 0, base + i * d, base + i * d, UInt32(d))
        scale = square > 0 ? scale / Float(square.squareRoot()) : 0
      }
      for j in 0..<d { center[j] += (base + i * d)[j] * scale }
    }
    for j in 0..<d where !center[j].isFinite { center[j] = 0 }
    let middle = kernels.pointee.pair(MF_INNER_PRODUCT.rawValue, 0, center, center, UInt32(d))
    let spread = kernels.pointee.pair(MF_L2.rawValue, 0, center, base, UInt32(d))
    return !isFar(middle, spread: spread)
  }
}
