import CMetalFaiss
import CPUKernels

/// How codes in blocks are scanned. Those of one store meet four queries at a time, in parts that stay in the cache.
/// Of lists, each query takes its own, nearest first: its tables are made once, and its bound is soon low.
struct BlockScan {
  /// Queries of the block, and what they look at: probes of each, and rows of these lists.
  private struct Item {
    let queries: Range<Int>
    let probes: Range<Int>
    let rows: Range<Int>
  }

  private let scan: CodeScan
  private let lists: ListScan
  private let search: Search
  private let probes: UnsafePointer<Int64>
  private let nprobe: Int
  private let nlist: Int
  private let segments: UnsafePointer<cpu_segment>?

  /// Bytes of blocks that meet all queries of an item: a part of a second-level cache.
  private static let partBytes = 256 << 10
  /// Queries of an item at most.
  private static let itemQueries = 64
  /// Codes of an item, where queries are few, at least.
  private static let leastRows = 1 << 14

  init(_ scan: CodeScan, _ lists: ListScan) {
    self.scan = scan
    self.lists = lists
    search = scan.search
    segments = scan.segments
    (probes, nprobe, nlist) = (lists.probes, lists.nprobe, lists.nlist)
  }

  func run(finish: ((Search, Range<Int>) -> Void)?, after: (Search) throws -> Void) throws {
    let chosen = try search.request.selector.map {
      try ChosenCodes($0, nlist: nlist, probes: probes, count: search.request.nq * nprobe, scan.rowsOf)
    }
    defer { chosen?.release() }
    search.variants |= MF_BLOCKS_U8.rawValue
    var scanned = 0.0
    for start in stride(from: 0, to: search.request.nq, by: search.blockSize) {
      search.begin(start)
      let limits = lists.limits(probes + search.first * nprobe)
      let (items, work) = makeItems(limits)
      try scan(items, work, limits, chosen, finish)
      scanned += Double(work)
      try search.call.throwIfCancelled()
      try after(search)
      try search.end()
    }
    search.call.pointee.scanned = scanned
  }

  /// What there is to do for the queries of a block, and how many codes they look at.
  private func makeItems(_ limits: [Int]?) -> ([Item], Int) {
    let threads = search.engine.pool.threads
    var items: [Item] = []
    if nlist == 1, nprobe == 1, limits == nil {
      let count = scan.rowsOf(0).count
      let work = count * (0..<search.count).reduce(0) { $0 + (probe($1, 0) < 0 ? 0 : 1) }
      // Two blocks: whole words of chosen codes.
      let block = 2 * Int(CPU_FAST_BLOCK)
      var step = max(block, Self.partBytes / max(1, scan.codec.storedBytes(block)) * block)
      let group = Int(CPU_FAST_QUERIES)
      // Whole groups of queries, enough of them for all threads.
      let share = (search.count / (4 * threads) + group - 1) / group * group
      let queries = max(group, min(Self.itemQueries, share))
      if search.count <= group * threads {
        step = max(Self.leastRows, (count / (2 * threads) + block - 1) / block * block)
      }
      for row in stride(from: 0, to: count, by: step) {
        for query in stride(from: 0, to: search.count, by: queries) {
          items.append(
            Item(queries: query..<min(query + queries, search.count), probes: 0..<1, rows: row..<min(row + step, count)))
        }
      }
      return (items, work)
    }
    var work = 0
    // Those near one list look at much the same: what one has read, the next finds in the cache.
    let isMany = search.count >= Self.itemQueries
    let order = isMany ? (0..<search.count).sorted { probe($0, 0) < probe($1, 0) } : Array(0..<search.count)
    for query in order {
      var (first, held) = (0, 0)
      for p in 0..<nprobe where probe(query, p) >= 0 {
        let count = limits?[query * nprobe + p] ?? rowsOf(probe(query, p)).count
        work += count
        held += count
        // Alone, a query's lists are shared out.
        if search.count < 2 * threads, held >= 4 * Self.leastRows {
          items.append(Item(queries: query..<query + 1, probes: first..<p + 1, rows: 0..<Int.max))
          (first, held) = (p + 1, 0)
        }
      }
      if first < nprobe { items.append(Item(queries: query..<query + 1, probes: first..<nprobe, rows: 0..<Int.max)) }
    }
    return (items, work)
  }

  /// Codes of a list, without a call where there are many lists.
  private func rowsOf(_ list: Int) -> CodeScan.Rows {
    guard let segments else { return scan.rowsOf(list) }
    let held = segments[list]
    return CodeScan.Rows(
      codes: UnsafeRawPointer(held.rows).assumingMemoryBound(to: UInt8.self), ids: held.ids, count: Int(held.count))
  }

  private func probe(_ query: Int, _ p: Int) -> Int { Int(probes[(search.first + query) * nprobe + p]) }

  private func scan(
    _ items: [Item], _ work: Int, _ limits: [Int]?, _ chosen: ChosenCodes?, _ finish: ((Search, Range<Int>) -> Void)?
  ) throws {
    var left = [UInt32](repeating: 0, count: search.count)
    for item in items { for query in item.queries { left[query] += 1 } }
    if let finish { for query in 0..<search.count where left[query] == 0 { finish(search, query..<query + 1) } }
    // A query alone makes its tables too.
    let isLong = work / 8 * scan.codec.codeSize > 50_000 || items.count > 16
    left.withUnsafeMutableBufferPointer { left in
      let used = search.engine.pool.forEach(items.count, parallel: isLong) { at, worker in
        if search.call.isCancelled { return }
        let item = items[at]
        search.workspaces.run(worker) { try scan(item, limits, chosen, $0) }
        for query in item.queries where cpu_atomic_down(left.baseAddress! + query) == 0 {
          finish?(search, query..<query + 1)
        }
      }
      search.threads = max(search.threads, used)
    }
    try search.workspaces.rethrow()
  }

  /// Scans an item: its queries, some at a time, against the parts of lists that they look at.
  private func scan(_ item: Item, _ limits: [Int]?, _ chosen: ChosenCodes?, _ workspace: Workspace) throws {
    guard let product = scan.codec.product else { return }
    let scratch = try workspace.decoded(cpu_fast_scratch(product.plain))
    let numbers = try workspace.positions(item.queries.count)
    withUnsafeTemporaryAllocation(of: cpu_fast_part.self, capacity: item.probes.count) { parts in
      // Queries of one item look at the same: of lists it has one.
      var count = 0
      for p in item.probes {
        // Some of many queries may look at nothing.
        let list = item.queries.count == 1 ? probe(item.queries.lowerBound, p) : 0
        let limit = limits?[item.queries.lowerBound * nprobe + p] ?? .max
        guard list >= 0, let part = part(list, item.rows.clamped(to: 0..<limit), chosen) else { continue }
        parts[count] = part
        count += 1
      }
      guard count > 0 else { return }
      var held = 0
      for query in item.queries where probe(query, item.probes.lowerBound) >= 0 || item.probes.count > 1 {
        numbers[held] = UInt32(query)
        held += 1
      }
      withUnsafePointer(to: search.scan) { scan in
        let group = Int(CPU_FAST_QUERIES)
        for query in stride(from: 0, to: held, by: group) where !search.call.isCancelled {
          cpu_fast_scan(
            scan, product.plain, numbers + query, UInt32(min(group, held - query)), parts.baseAddress, UInt32(count),
            scratch)
        }
      }
    }
  }

  private func part(_ list: Int, _ rows: Range<Int>, _ chosen: ChosenCodes?) -> cpu_fast_part? {
    let held = rowsOf(list)
    let range = rows.clamped(to: 0..<held.count)
    if range.isEmpty { return nil }
    var words: UnsafePointer<UInt64>?
    if let chosen {
      guard let of = chosen.of(list) else { return nil }
      words = of + range.lowerBound / 64
    }
    return cpu_fast_part(
      blocks: held.codes + scan.codec.storedBytes(range.lowerBound), n: UInt64(range.count),
      first: UInt64(list) << 32 | UInt64(range.lowerBound), centroid: scan.centroids.map { $0 + list * scan.codec.d },
      chosen: words)
  }
}

/// Bits of the codes that a selector lets take part, of every list that is probed.
private struct ChosenCodes {
  private var words = Memory<UInt64>()
  /// Where the bits of a list start; −1 where it has none.
  private var starts: [Int]

  init(
    _ selector: Selector, nlist: Int, probes: UnsafePointer<Int64>, count: Int, _ rowsOf: (Int) -> CodeScan.Rows
  ) throws {
    starts = [Int](repeating: -1, count: nlist)
    var lists: [Int] = []
    var total = 0
    for i in 0..<count where probes[i] >= 0 && starts[Int(probes[i])] < 0 {
      let list = Int(probes[i])
      lists.append(list)
      starts[list] = total
      total += (rowsOf(list).count + 63) / 64
    }
    try words.reserve(total, used: 0)
    var found = [Bool](repeating: false, count: lists.count)
    found.withUnsafeMutableBufferPointer { found in
      // One list in parts, or many lists.
      let step = 1 << 16
      let pieces = lists.indices.flatMap { at in
        stride(from: 0, to: rowsOf(lists[at]).count, by: step).map { (at, $0) }
      }
      _ = Engine.shared.pool.forEach(pieces.count, parallel: total > 256) { piece, _ in
        let (at, row) = pieces[piece]
        let rows = rowsOf(lists[at])
        let n = min(step, rows.count - row)
        let into = words.start + starts[lists[at]] + row / 64
        let chosen = selector.select(ids: rows.ids.map { $0 + row }, first: Int64(row), count: n, into: into)
        if chosen > 0 { found[at] = true }
      }
    }
    for at in lists.indices where !found[at] { starts[lists[at]] = -1 }
  }

  func release() {
    var words = words
    words.release()
  }

  func of(_ list: Int) -> UnsafePointer<UInt64>? { starts[list] < 0 ? nil : UnsafePointer(words.start + starts[list]) }
}
