import CMetalFaiss
import CPUKernels

/// How inverted lists of rows of floats are scanned.
struct IVFScan {
  private let ivf: IVF
  private let search: Search
  private let lists: ListScan

  private static let directQueries = 4
  private static let panelQueries = Int(CPU_MAX_QUERIES)

  init(
    _ ivf: IVF, _ request: Request, _ queries: UnsafePointer<Float>, _ probes: UnsafePointer<Int64>, _ nprobe: Int,
    _ call: Call
  ) throws {
    self.ivf = ivf
    let source = cpu_source(
      rows: nil, count: 0, segments: ivf.segments.start, d: UInt32(ivf.d), metric: request.metric,
      metric_arg: request.argument, codec: nil, centroids: nil)
    search = try Search(request, queries: queries, source: source, call: call)
    lists = ListScan(
      search: search, nlist: ivf.lists.count, sizeOf: { ivf.lists[$0].count }, probes: probes, nprobe: nprobe)
    try lists.check()
  }

  func run(finish: ((Search, Range<Int>) -> Void)? = nil, after: (Search) throws -> Void = { _ in }) throws {
    try lists.run(scan, finish: finish, after: after)
  }

  private func scan(_ item: ListScan.Item, _ order: UnsafePointer<UInt32>, _ variant: UInt32, _ workspace: Workspace) throws {
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
          || search.setCenter(center.baseAddress!, base, item.rows.count) && isPanel
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
}
