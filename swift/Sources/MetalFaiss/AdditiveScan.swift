import CMetalFaiss
import CPUKernels

/// Tables of the queries of a search's block: what indices of an additive quantizer's codes add to keys. They are made
/// once, whatever the lists that a query looks at: those of a list's centroid are taken off there.
final class AdditiveTables {
  /// Bytes of a block's tables at most.
  private static let blockBytes = 64 << 20

  let additive: UnsafePointer<cpu_additive>
  let isInner: Bool
  let hasTerms: Bool
  /// Whether codes are compared by what they hold of norms, so that decoding them would not do.
  let isCoded: Bool
  private(set) var columns: cpu_pq
  private let origin: [Float]?
  private var ready = Memory<Float>()

  /// nil where codes are decoded: to compare what they stand for by L2. centroids: those of lists, or nil.
  init?(_ codec: Codec, _ request: Request, centroids: UnsafePointer<Float>?) {
    guard let additive = codec.additive?.plain else { return nil }
    self.additive = additive
    isInner = request.metric == MF_INNER_PRODUCT.rawValue
    isCoded = !isInner && cpu_norm_is_coded(additive.pointee.norm)
    guard isInner || isCoded else { return nil }
    hasTerms = isCoded && additive.pointee.norm == CPU_NORM_FLOAT.rawValue
    columns = cpu_additive_columns(additive, isInner)
    // Any centroid lies among them.
    origin = isInner ? nil : centroids.map { Array(UnsafeBufferPointer(start: $0, count: codec.d)) }
  }

  deinit { ready.release() }

  private var size: Int { Int(columns.m) * Int(columns.stride) }
  /// Queries of a block at most.
  var mostQueries: Int { max(1, Self.blockBytes / (size * 4)) }

  /// Makes the tables of a block's queries.
  func prepare(_ search: Search) throws {
    try ready.reserve(search.count * size, used: 0)
    let d = Int(additive.pointee.d)
    withOrigin { origin in
      search.engine.pool.forEach(search.count, parallel: search.count * size * d > 500_000) { q, _ in
        withUnsafeTemporaryAllocation(of: Float.self, capacity: d) { room in
          cpu_additive_ready(
            search.engine.kernels, additive, &columns, isInner, search.scan.queries + q * d, origin, room.baseAddress!,
            ready.start + q * size)
        }
      }
    }
  }

  private func withOrigin<R>(_ body: (UnsafePointer<Float>?) throws -> R) rethrows -> R {
    guard let origin else { return try body(nil) }
    return try origin.withUnsafeBufferPointer { try body($0.baseAddress) }
  }

  /// Whether every index, and what counts of norms, is a byte of its own: then codes are packed as product ones are.
  private var areBytes: Bool {
    let a = additive.pointee
    let bits = cpu_norm_bits(a.norm)
    return !hasTerms && columns.nbits == 8 && (columns.m == a.m || bits == 8)
      && (0..<Int(a.m)).allSatisfy { a.nbits[$0] == 8 }
  }

  /// Scans an item with a scan's means. False where its codes are better decoded.
  func scan(
    _ codes: CodeScan, _ item: ListScan.Item, _ order: UnsafePointer<UInt32>, _ workspace: Workspace
  ) throws -> Bool {
    let (kernels, additive, ready, isInner, hasTerms, areBytes) = (
      codes.search.engine.kernels, additive, UnsafePointer(ready.start), isInner, hasTerms, areBytes
    )
    var columns = columns
    return try withOrigin { origin in
      try withUnsafePointer(to: &columns) { columns in
        let tables = CodeScan.Tables(
          columns: columns, scratch: cpu_additive_scratch(additive, columns),
          pack: { base, chunk, terms, scratch in
            cpu_additive_begin(kernels, additive, isInner, chunk.centroid, origin, scratch)
            if areBytes {
              cpu_pq_pack(kernels, columns, base, &chunk)
              return 0
            }
            return cpu_additive_pack(additive, columns, base, &chunk, hasTerms ? terms : nil)
          },
          scan: { scan, order, count, chunk, terms, farthest, scratch in
            cpu_additive_scan(
              scan, additive, columns, ready, origin, order, count, &chunk, hasTerms ? terms : nil, farthest, scratch)
          }, mayDecode: !isCoded)
        return try codes.scanTables(tables, item, order, workspace)
      }
    }
  }
}
