import CMetalFaiss
import CPUKernels

/// How codes are scanned. Where few queries look at them they are decoded in registers. Otherwise some at a time
/// are decoded, with the centroid of their list, into a part of the cache, and meet there all queries that look at
/// them, as rows of floats do.
struct CodeScan {
  /// Codes of a list.
  struct Rows {
    let codes: UnsafePointer<UInt8>
    /// nil: numbered as they lie.
    let ids: UnsafePointer<Int64>?
    let count: Int
  }

  /// Codes of every list, as scans see them.
  var segments: UnsafePointer<cpu_segment>? { search.source.segments }

  let codec: Codec
  private let nlist: Int
  let rowsOf: (Int) -> Rows
  let centroids: UnsafePointer<Float>?
  let search: Search
  private let additive: AdditiveTables?

  private static let directQueries = 4
  private static let panelQueries = Int(CPU_MAX_QUERIES)
  /// Bytes of decoded rows: of a first-level cache for few queries, else of a second-level one.
  private static let directBytes = 32 << 10
  private static let blockBytes = 128 << 10

  /// segments: where the codes of lists are, for those with ids.
  init(
    _ codec: Codec, _ nlist: Int, _ rowsOf: @escaping (Int) -> Rows, segments: UnsafePointer<cpu_segment>? = nil,
    centroids: UnsafePointer<Float>? = nil, _ request: Request, _ queries: UnsafePointer<Float>, _ call: Call
  ) throws {
    guard request.metric == MF_L2.rawValue || request.metric == MF_INNER_PRODUCT.rawValue else {
      throw Failure.value("codes are compared by L2 or inner product only")
    }
    try codec.rabitq?.check(request)
    guard codec.plain.pointee.kind != MF_CODEC_BINARY.rawValue else {
      throw Failure.value("codes of bits are compared by how many differ")
    }
    self.codec = codec
    self.nlist = nlist
    self.rowsOf = rowsOf
    self.centroids = centroids
    let first = rowsOf(0)
    let source = cpu_source(
      rows: UnsafeRawPointer(first.codes).assumingMemoryBound(to: Float.self), count: UInt64(first.count),
      segments: segments, d: UInt32(codec.d), metric: request.metric, metric_arg: 0, codec: codec.plain,
      centroids: centroids)
    additive = AdditiveTables(codec, request, centroids: centroids)
    search = try Search(
      request, queries: queries, source: source, call: call, mostQueries: additive?.mostQueries ?? .max)
  }

  func run(
    _ probes: UnsafePointer<Int64>, _ nprobe: Int, itemRows: Int = 4096, itemQueries: Int = 1024,
    finish: ((Search, Range<Int>) -> Void)? = nil,
    after: (Search) throws -> Void = { _ in }
  ) throws {
    let lists = ListScan(
      search: search, nlist: nlist, sizeOf: { rowsOf($0).count }, probes: probes, nprobe: nprobe, itemRows: itemRows,
      itemQueries: itemQueries)
    try lists.check()
    if codec.isInBlocks {
      let blocks = BlockScan(self, lists)
      return try blocks.run(finish: finish, after: after)
    }
    try lists.run(scan, begin: additive?.prepare, finish: finish, after: after)
  }

  /// Rows to decode at once.
  private func blockRows(few: Bool) -> Int {
    let unit = few ? Int(CPU_DIRECT_ROWS) : Int(search.engine.kernels.pointee.panel)
    let rows = (few ? Self.directBytes : Self.blockBytes) / (codec.d * 4) / unit * unit
    return max(few ? 16 : unit, min(2048, rows))
  }

  private func scan(_ item: ListScan.Item, _ order: UnsafePointer<UInt32>, _ variant: UInt32, _ workspace: Workspace)
    throws
  {
    if let additive, try additive.scan(self, item, order, workspace) { return }
    if try scanProduct(item, order, workspace) { return }
    if try scanRaBitQ(item, order, workspace) { return }
    let d = codec.d
    let rows = rowsOf(item.list)
    let centroid = centroids.map { $0 + item.list * d }
    let few = item.queries.count <= Self.directQueries
    // Scalar codes are decoded in registers where few queries meet them.
    let inPlace = few && codec.isScalar
    let block = inPlace ? item.rows.count : blockRows(few: few)
    let decoded = try inPlace ? nil : workspace.decoded(block * d)
    let tiles = few ? nil : Tiles(search, item.queries.count, order, variant, workspace)
    search.variants |= (inPlace ? MF_DIRECT_F32 : MF_DECODE_F32).rawValue
    for from in stride(from: item.rows.lowerBound, to: item.rows.upperBound, by: block) {
      if search.call.isCancelled { return }
      let n = min(block, item.rows.upperBound - from)
      var chosen = n
      var positions: UnsafeMutablePointer<UInt32>?
      if let selector = search.request.selector {
        let room = try workspace.positions(n)
        chosen = selector.select(ids: rows.ids.map { $0 + from }, first: Int64(from), count: n, into: room)
        positions = room
      }
      if chosen == 0 { continue }
      let codes = rows.codes + from * codec.codeSize
      let location = UInt64(item.list) << 32 | UInt64(from)
      guard let decoded else {
        withUnsafePointer(to: search.scan) {
          cpu_scan_codes(
            $0, order, 0, UInt32(item.queries.count), codes, centroid, location, positions, UInt64(chosen))
        }
        continue
      }
      decode(codes, n, positions, chosen, centroid, decoded)
      if let tiles {
        try tiles.scan(decoded, location, positions, chosen)
      } else {
        search.variants |= MF_DIRECT_F32.rawValue
        withUnsafePointer(to: search.scan) {
          cpu_scan_direct($0, order, 0, UInt32(item.queries.count), decoded, location, positions, UInt64(chosen))
        }
      }
    }
  }

  /// Decodes a block's codes, or the chosen of them, each to its place.
  private func decode(
    _ codes: UnsafePointer<UInt8>, _ n: Int, _ positions: UnsafePointer<UInt32>?, _ chosen: Int,
    _ centroid: UnsafePointer<Float>?, _ decoded: UnsafeMutablePointer<Float>
  ) {
    guard let positions, 2 * chosen < n else { return codec.decode(codes, n, plus: centroid, decoded) }
    for i in 0..<chosen {
      let row = Int(positions[i])
      codec.decode(codes + row * codec.codeSize, 1, plus: centroid, decoded + row * codec.d)
    }
  }
}

/// The queries of an item, packed once, and how blocks of rows meet them.
private final class Tiles {
  private let search: Search
  private let count: Int
  private let order: UnsafePointer<UInt32>
  private var variant: UInt32
  private let workspace: Workspace
  private var queries: cpu_queries?
  private var center: [Float] = []

  init(
    _ search: Search, _ count: Int, _ order: UnsafePointer<UInt32>, _ variant: UInt32, _ workspace: Workspace
  ) {
    self.search = search
    self.count = count
    self.order = order
    self.variant = variant
    self.workspace = workspace
  }

  private var isPanel: Bool { variant == MF_PANEL_F32.rawValue }

  /// Packs the queries about the middle of the first rows that they meet.
  private func pack(_ rows: UnsafePointer<Float>, _ positions: UnsafePointer<UInt32>?, _ n: Int) throws -> cpu_queries {
    let d = search.d
    center = [Float](repeating: 0, count: d)
    let isNear = center.withUnsafeMutableBufferPointer { center in
      // Chosen rows are apart: one of them is as good a centre.
      let at = positions.map { Int($0[0]) } ?? 0
      return search.setCenter(center.baseAddress!, rows + at * d, positions == nil ? n : 1)
    }
    if isNear && count <= Int(CPU_MAX_QUERIES) { variant = MF_PANEL_F32.rawValue }
    search.variants |= variant
    var packed = try workspace.queries(search.engine.kernels, variant: variant, n: count, d: d)
    packed.index = order
    let scratch = try workspace.prepareScratch(d: d)
    let isCentred = !isPanel || search.request.metric == MF_L2.rawValue
    withUnsafePointer(to: search.scan) { cpu_pack_queries($0, isCentred ? center : nil, &packed, scratch) }
    return packed
  }

  /// Scans decoded rows, or those of them at positions, for all queries.
  func scan(_ rows: UnsafePointer<Float>, _ location: UInt64, _ positions: UnsafePointer<UInt32>?, _ n: Int) throws {
    if queries == nil { queries = try pack(rows, positions, n) }
    var queries = queries!
    let d = search.d
    try withUnsafePointer(to: search.scan) { scan in
      if isPanel {
        let isCentred = search.request.metric == MF_L2.rawValue
        cpu_scan_panels(scan, &queries, isCentred ? center : nil, rows, location, positions, UInt64(n))
        return
      }
      var packed = try workspace.rows(search.engine.kernels, variant: variant, n: n, d: d)
      packed.positions = positions
      packed.first = location
      cpu_pack_rows(scan, center, rows, &packed, try workspace.prepareScratch(d: d))
      cpu_scan_tiles(scan, &queries, &packed)
    }
  }
}
