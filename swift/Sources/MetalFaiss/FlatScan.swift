import CMetalFaiss
import CPUKernels

/// How a flat store is scanned. Few queries read the rows where they lie, alone or as panels. Many
/// queries against few rows share those rows packed once and split the queries; otherwise threads
/// split the rows, and every block of rows, packed once, meets all queries of the block.
struct FlatScan {
  private let flat: Flat
  private let search: Search
  private let center: [Float]

  /// Bytes of a packed block of rows: half of a core's second-level cache or less.
  private static let blockBytes = 256 << 10
  /// Bytes of rows that are worth packing once for all.
  private static let sharedBytes = 8 << 20
  /// Rows looked at by one item when only some are selected.
  private static let selectedRows = 16384
  /// Up to so many queries, reading rows in place beats packing them: each alone, or as panels.
  private static let directQueries = 4
  private static let panelQueries = Int(CPU_MAX_QUERIES)

  init(_ flat: Flat, _ request: Request, _ queries: UnsafePointer<Float>, _ call: Call) throws {
    self.flat = flat
    var source = flat.source
    source.metric = request.metric
    source.metric_arg = request.argument
    search = try Search(request, queries: queries, source: source, call: call)
    center = request.isTiled && request.nq > Self.directQueries ? flat.center(request.metric) : []
  }

  /// Scans block by block. `finish` writes some queries' results while they are warm, where the scan can;
  /// `after` is told whether it did.
  func run(
    _ after: (Search, Bool) throws -> Void, finish: ((Search, Range<Int>) -> Void)? = nil
  ) throws {
    let d = flat.d
    for start in stride(from: 0, to: search.request.nq, by: search.blockSize) {
      search.begin(start)
      var finished = false
      if flat.count > 0 {
        let few = search.count <= Self.directQueries || search.count * flat.count < 4096
        if !search.request.isTiled || few {
          scanInPlace()
        } else if search.count <= Self.panelQueries && !flat.isFarAway {
          try scanPanels()
        } else if let finish, search.request.selector == nil, flat.count * d * 4 <= Self.sharedBytes,
          search.count >= 64 * search.engine.pool.threads
        {
          try scanSharedRows(finish)
          finished = true
        } else {
          try scanRows()
        }
      }
      try search.workspaces.rethrow()
      try search.call.throwIfCancelled()
      try after(search, finished)
      try search.end()
    }
    search.call.pointee.scanned = Double(search.request.nq) * Double(flat.count)
  }

  /// The selected of a range of rows, as positions from its start, or nil for all.
  private func select(_ start: Int, _ n: Int, _ workspace: Workspace) throws -> (UnsafeMutablePointer<UInt32>, Int)? {
    guard let selector = search.request.selector else { return nil }
    let positions = try workspace.positions(n)
    return (positions, selector.select(ids: nil, first: Int64(start), count: n, into: positions))
  }

  /// Some rows of the store: the first of them, its number, and which are selected, or how many there are.
  private typealias Part = (rows: UnsafePointer<Float>, start: UInt64, positions: UnsafePointer<UInt32>?, count: UInt64)

  private func forEachPart(work: Int, _ body: (Part) -> Void) {
    let d = flat.d
    let pool = search.engine.pool
    var (least, most) = (max(64, (1 << 16) / d), max(64, (1 << 21) / d))
    if !search.request.isTiled {
      most = least  // pairs are slow: a cancelled call must not wait for a long item
    } else if search.request.selector != nil {
      (least, most) = (Self.selectedRows, Self.selectedRows)
    }
    let ranges = pool.shares(of: flat.count, least: least, most: most)
    let used = pool.forEach(ranges.count, parallel: work > 100_000) { item, worker in
      if search.call.isCancelled { return }
      search.workspaces.run(worker) { workspace in
        let range = ranges[item]
        let selected = try select(range.lowerBound, range.count, workspace)
        body((
          UnsafePointer(flat.rows.start + range.lowerBound * d), UInt64(range.lowerBound),
          selected.map { UnsafePointer($0.0) }, UInt64(selected?.1 ?? range.count)
        ))
      }
    }
    search.threads = max(search.threads, used)
  }

  private func scanInPlace() {
    let tiled = search.request.isTiled
    let work = flat.count * flat.d * (tiled ? 1 : 8) * search.count
    search.variants |= tiled ? MF_DIRECT_F32.rawValue : MF_PAIRWISE_F64.rawValue
    forEachPart(work: work) { part in
      withUnsafePointer(to: search.scan) { scan in
        // Nor may a cancelled call wait for all queries of an item of pairs.
        for q in stride(from: 0, to: search.count, by: tiled ? search.count : 16) {
          if search.call.isCancelled { return }
          (tiled ? cpu_scan_direct : cpu_scan_pairs)(
            scan, nil, UInt32(q), UInt32(tiled ? search.count : min(16, search.count - q)), part.rows, part.start,
            part.positions, part.count)
        }
      }
    }
  }

  private func scanPanels() throws {
    search.variants |= MF_PANEL_F32.rawValue
    var queries = try search.workspaces.shared.queries(
      search.engine.kernels, variant: MF_PANEL_F32.rawValue, n: search.count, d: flat.d)
    let center = search.request.metric == MF_L2.rawValue ? center : nil
    withUnsafePointer(to: search.scan) { cpu_pack_queries($0, center, &queries, nil) }
    let sample = sampleRows()
    if !sample.isEmpty {
      search.guess(sample.count, of: flat.count) {
        withUnsafePointer(to: search.scan) {
          cpu_scan_panels($0, &queries, center, flat.rows.start, 0, sample, UInt64(sample.count))
        }
      }
    }
    forEachPart(work: flat.count * flat.d * search.count) { part in
      withUnsafePointer(to: search.scan) { scan in
        cpu_scan_panels(scan, &queries, center, part.rows, part.start, part.positions, part.count)
      }
    }
  }

  /// Runs items with the preferred tile, and those that are left in float32 should it prove too coarse.
  private func runTiles(_ items: Int, _ prepare: (UInt32) throws -> Void, _ body: (Int, Workspace, UInt32) throws -> Void)
    throws
  {
    var variant = search.preferredTile
    var left = Array(0..<items)
    while !left.isEmpty {
      try prepare(variant)
      search.variants |= variant
      var coarse = false
      var done = [Bool](repeating: false, count: left.count)
      done.withUnsafeMutableBufferPointer { done in
        let used = search.engine.pool.forEach(left.count) { slot, worker in
          if search.call.isCancelled || coarse { return }
          done[slot] = true
          search.workspaces.run(worker) { try body(left[slot], $0, variant) }
          if variant == MF_TILE_BF16.rawValue, worker == 0, slot & 15 == 0 {
            let share = Double(slot + 1) / Double(items)
            coarse = search.isTooCoarse(share * Double(search.count) * Double(flat.count))
          }
        }
        search.threads = max(search.threads, used)
      }
      if search.call.isCancelled { return }
      left = left.indices.filter { !done[$0] }.map { left[$0] }
      variant = MF_TILE_F32.rawValue
    }
  }

  private func scanRows() throws {
    let d = flat.d
    let kernels = search.engine.kernels
    let panel = Int(kernels.pointee.panel)
    let packed = search.workspaces.shared
    var queries = cpu_queries()
    let rowBytes = d * (search.preferredTile == MF_TILE_BF16.rawValue ? 2 : 4)
    let block = max(panel, min(2048, Self.blockBytes / rowBytes / panel * panel))
    let step = search.request.selector != nil ? Self.selectedRows : block
    func scan(
      _ first: Int, _ positions: UnsafePointer<UInt32>?, _ n: Int, _ workspace: Workspace, _ variant: UInt32
    ) throws {
      for from in stride(from: 0, to: n, by: block) where !search.call.isCancelled {
        var rows = try workspace.rows(kernels, variant: variant, n: min(block, n - from), d: d)
        rows.positions = positions.map { $0 + from }
        rows.first = UInt64(first + (positions == nil ? from : 0))
        let scratch = try workspace.prepareScratch(d: d)
        withUnsafePointer(to: search.scan) { scan in
          cpu_pack_rows(scan, center, flat.rows.start + Int(rows.first) * d, &rows, scratch)
          cpu_scan_tiles(scan, &queries, &rows)
        }
      }
    }
    var guessed = false
    try runTiles((flat.count + step - 1) / step) { variant in
      queries = try packed.queries(kernels, variant: variant, n: search.count, d: d)
      try packQueries(&queries)
      if guessed { return }
      guessed = true
      let sample = sampleRows()
      if sample.isEmpty { return }
      try search.guess(sample.count, of: flat.count) {
        let share = sample.count / 4
        sample.withUnsafeBufferPointer { sample in
          _ = search.engine.pool.forEach(4) { item, worker in
            search.workspaces.run(worker) { try scan(0, sample.baseAddress! + item * share, share, $0, variant) }
          }
        }
        try search.workspaces.rethrow()
      }
    } _: { item, workspace, variant in
      let start = item * step
      let n = min(step, flat.count - start)
      let selected = try select(start, n, workspace)
      try scan(start, selected.map { UnsafePointer($0.0) }, selected?.1 ?? n, workspace, variant)
    }
  }

  /// Positions of rows to guess bounds from, if any: spread evenly but at no fixed distance, since
  /// stores may be periodic.
  private func sampleRows() -> [UInt32] {
    if search.request.selector != nil { return [] }
    let size = search.sampleSize(of: flat.count)
    var state: UInt64 = 1
    return (0..<size).map { i in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let (from, to) = (i * flat.count / size, (i + 1) * flat.count / size)
      return UInt32(from + Int(state >> 33) % (to - from))
    }
  }

  /// Packs all queries of the block, each thread some panels.
  private func packQueries(_ queries: inout cpu_queries) throws {
    // Of no queries: the length of the centre alone.
    var none = queries
    none.n = 0
    withUnsafePointer(to: search.scan) { cpu_pack_queries($0, center, &none, nil) }
    queries.center = none.center
    let all = queries
    let d = flat.d
    let kernels = search.engine.kernels
    let group = Int(kernels.pointee.tile) * 8
    let bytes = Int(cpu_queries_bytes(kernels, all.variant, UInt64(group), UInt32(d)))
      - Int(cpu_queries_bytes(kernels, all.variant, 0, UInt32(d)))
    search.engine.pool.forEach((search.count + group - 1) / group, parallel: search.count * d > 50_000) {
      item, worker in
      search.workspaces.run(worker) { workspace in
        let start = item * group
        let n = min(group, search.count - start)
        // Packed aside, then moved: stores run past the end of a panel, where another thread's may lie.
        var part = try workspace.queries(kernels, variant: all.variant, n: n, d: d)
        part.first = UInt32(start)
        part.norms = all.norms + start
        part.errors = all.errors + start
        part.bias = all.bias + start
        let scratch = try workspace.prepareScratch(d: d)
        withUnsafePointer(to: search.scan) { cpu_pack_queries($0, center, &part, scratch) }
        let used = n == group ? bytes : Int(cpu_queries_bytes(kernels, all.variant, UInt64(n), UInt32(d)))
        (all.panels + item * bytes).update(from: part.panels, count: used)
      }
    }
    try search.workspaces.rethrow()
  }

  private func scanSharedRows(_ finish: (Search, Range<Int>) -> Void) throws {
    let d = flat.d
    let kernels = search.engine.kernels
    let panel = Int(kernels.pointee.panel)
    let shared = search.workspaces.shared
    var all = cpu_rows()
    let rowBytes = d * (search.preferredTile == MF_TILE_BF16.rawValue ? 2 : 4)
    let block = max(panel, Self.blockBytes / rowBytes / panel * panel)
    let group = Int(kernels.pointee.tile) * 16
    try runTiles((search.count + group - 1) / group) { variant in
      all = try shared.rows(kernels, variant: variant, n: flat.count, d: d)
      let scratch = try shared.prepareScratch(d: d)
      withUnsafePointer(to: search.scan) { cpu_pack_rows($0, center, flat.rows.start, &all, scratch) }
    } _: { item, workspace, variant in
      let start = item * group
      let n = min(group, search.count - start)
      var queries = try workspace.queries(kernels, variant: variant, n: n, d: d)
      queries.first = UInt32(start)
      let scratch = try workspace.prepareScratch(d: d)
      let words = variant == MF_TILE_BF16.rawValue ? (d + 1) / 2 : d
      withUnsafePointer(to: search.scan) { scan in
        cpu_pack_queries(scan, center, &queries, scratch)
        for from in stride(from: 0, to: flat.count, by: block) where !search.call.isCancelled {
          var rows = all
          rows.n = UInt32(min(block, flat.count - from))
          rows.first = UInt64(from)
          rows.`init` = all.`init` + from
          rows.longest = all.longest + from / panel
          rows.roughest = all.roughest + from / panel
          rows.panels = all.panels + from * words * 4
          cpu_scan_tiles(scan, &queries, &rows)
        }
      }
      finish(search, start..<start + n)
    }
  }
}
