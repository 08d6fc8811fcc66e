import CMetalFaiss
import CPUKernels

/// How lists are scanned: the queries of a block are grouped by list, and each list is read once for all
/// that probe it. faiss reads it once for each.
struct ListScan {
  /// Part of a list and the queries that probe it.
  struct Item {
    let list: Int
    let rows: Range<Int>
    let queries: Range<Int>
  }

  let search: Search
  let nlist: Int
  /// Rows of a list.
  let sizeOf: (Int) -> Int
  let probes: UnsafePointer<Int64>
  let nprobe: Int
  /// Rows of an item at most.
  var itemRows = 4096
  /// Queries of an item at most.
  var itemQueries = 1024

  /// Rows of the last items when a query is alone: threads end together.
  private static let lastRows = 512

  /// Scans an item for its queries, whose numbers are given, with the kernel of tiles that is preferred.
  typealias Body = (Item, UnsafePointer<UInt32>, UInt32, Workspace) throws -> Void

  /// Throws unless every probe is of a list.
  func check() throws {
    for i in 0..<search.request.nq * nprobe where probes[i] < -1 || probes[i] >= Int64(nlist) {
      throw Failure.value("query \(i / nprobe) probes list \(probes[i]) of \(nlist)")
    }
  }

  /// Scans block by block. `begin` prepares one. `finish` writes a query's results as soon as its last list is scanned, while
  /// rows are warm; `after` sees the whole block.
  func run(
    _ body: Body, begin: ((Search) throws -> Void)? = nil, finish: ((Search, Range<Int>) -> Void)? = nil,
    after: (Search) throws -> Void = { _ in }
  ) throws {
    var scanned = 0.0
    for start in stride(from: 0, to: search.request.nq, by: search.blockSize) {
      search.begin(start)
      try begin?(search)
      let (items, order) = group()
      var work = 0
      for item in items { work += item.rows.count * item.queries.count }
      var left = [UInt32](repeating: 0, count: search.count)
      for item in items { for slot in item.queries { left[Int(order[slot])] += 1 } }
      if let finish { for query in 0..<search.count where left[query] == 0 { finish(search, query..<query + 1) } }
      try left.withUnsafeMutableBufferPointer { left in
        try order.withUnsafeBufferPointer { order in
          try scan(items, order.baseAddress, work, body) { query in
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

  /// Rows of each probed list that its query looks at, where their number is limited.
  func limits(_ block: UnsafePointer<Int64>) -> [Int]? {
    let request = search.request
    guard request.maxCodes > 0 else { return nil }
    let isWhole = request.flags & MF_SEARCH_WHOLE_LISTS.rawValue != 0
    let most = isWhole ? max(request.maxCodes, request.k) : request.maxCodes
    var rows = [Int](repeating: 0, count: search.count * nprobe)
    for query in 0..<search.count {
      var seen = 0
      for i in query * nprobe..<(query + 1) * nprobe where block[i] >= 0 && seen < most {
        let list = Int(block[i])
        rows[i] = isWhole ? sizeOf(list) : min(sizeOf(list), most - seen)
        seen += selected(list, rows[i])
      }
    }
    return rows
  }

  /// Rows that may be found among the first of a list: as in faiss only those count.
  private func selected(_ list: Int, _ rows: Int) -> Int {
    guard let selector = search.request.selector, let segments = search.scan.source.segments else { return rows }
    return selector.count(ids: segments[list].ids, count: rows)
  }

  /// Queries of the block by list, and the items they make.
  private func group() -> ([Item], [UInt32]) {
    let block = probes + search.first * nprobe
    let pairs = search.count * nprobe
    let limits = limits(block)
    func rows(_ i: Int) -> Int { block[i] < 0 ? 0 : limits?[i] ?? sizeOf(Int(block[i])) }
    var items: [Item] = []
    // Alone, a query takes its lists as they come: sorting would cost as much as scanning one.
    if search.count == 1 {
      items.reserveCapacity(pairs)
      var left = 0
      for i in 0..<pairs { left += rows(i) }
      for i in 0..<pairs where block[i] >= 0 {
        let step = search.engine.pool.share(of: left, least: Self.lastRows, most: itemRows)
        append(&items, Int(block[i]), rows(i), 0..<1, step: step)
        left -= rows(i)
      }
      return (items, [0])
    }
    // Lists that a query sees a part of are items of their own.
    func isPart(_ i: Int) -> Bool { limits.map { $0[i] < sizeOf(Int(block[i])) } ?? false }
    var starts = [Int](repeating: 0, count: nlist + 1)
    for i in 0..<pairs where block[i] >= 0 && !isPart(i) { starts[Int(block[i]) + 1] += 1 }
    for list in 0..<nlist { starts[list + 1] += starts[list] }
    var order = [UInt32](repeating: 0, count: starts[nlist])
    var at = starts
    for i in 0..<pairs where block[i] >= 0 && !isPart(i) {
      let list = Int(block[i])
      order[at[list]] = UInt32(i / nprobe)
      at[list] += 1
    }
    for list in 0..<nlist where starts[list + 1] > starts[list] {
      append(&items, list, sizeOf(list), starts[list]..<starts[list + 1], step: itemRows)
    }
    if limits != nil {
      for i in 0..<pairs where block[i] >= 0 && isPart(i) && rows(i) > 0 {
        append(&items, Int(block[i]), rows(i), order.count..<order.count + 1, step: itemRows)
        order.append(UInt32(i / nprobe))
      }
    }
    return (items, order)
  }

  private func append(_ items: inout [Item], _ list: Int, _ count: Int, _ queries: Range<Int>, step: Int) {
    for row in stride(from: 0, to: count, by: step) {
      let rows = row..<min(row + step, count)
      for query in stride(from: queries.lowerBound, to: queries.upperBound, by: itemQueries) {
        items.append(Item(list: list, rows: rows, queries: query..<min(query + itemQueries, queries.upperBound)))
      }
    }
  }

  /// Scans items; `done` is told each query of an item after it.
  private func scan(
    _ items: [Item], _ order: UnsafePointer<UInt32>?, _ work: Int, _ body: Body, _ done: (Int) -> Void
  ) throws {
    guard let order else { return }
    var variant = search.preferredTile
    var seen = 0.0
    let used = search.engine.pool.forEach(items.count, parallel: work * search.d > 100_000) { at, worker in
      if search.call.isCancelled { return }
      let item = items[at]
      search.workspaces.run(worker) { try body(item, order + item.queries.lowerBound, variant, $0) }
      for slot in item.queries { done(Int(order[slot])) }
      if worker == 0, variant == MF_TILE_BF16.rawValue {
        seen += Double(item.rows.count * item.queries.count)
        if at & 63 == 63, search.isTooCoarse(2 * seen) { variant = MF_TILE_F32.rawValue }
      }
    }
    search.threads = max(search.threads, used)
    try search.workspaces.rethrow()
  }
}
