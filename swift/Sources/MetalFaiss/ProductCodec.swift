import CMetalFaiss
import CPUKernels

/// A product quantizer: its centroids as they were given, and by coordinate.
final class ProductCodec {
  /// What kernels see of it.
  let plain: UnsafePointer<cpu_pq>
  private let held: UnsafeMutablePointer<cpu_pq>
  private var numbers = Memory<Float>()

  init(_ raw: mf_codec, _ centroids: UnsafePointer<Float>?, _ count: Int) throws {
    let (d, m, nbits) = (raw.d, raw.m, raw.nbits)
    guard m >= 1, d % m == 0 else { throw Failure.value("d \(d) is not divisible by m \(m)") }
    guard nbits >= 1, nbits <= UInt32(CPU_PQ_MAX_BITS) else {
      throw Failure.value("nbits must be 1 to \(CPU_PQ_MAX_BITS), not \(nbits)")
    }
    let wanted = Int(d) << Int(nbits)
    guard count == wanted, let centroids else {
      throw Failure.shape("\(count) numbers of centroids where \(wanted) are needed")
    }
    if let at = firstRefused(centroids, count, allowNaN: false, kernels: Engine.shared.kernels) {
      throw refusal(centroids, at, d: Int(d / m), what: "centroid")
    }
    try numbers.reserve(wanted + Int(cpu_pq_columns(m, nbits, d / m)), used: 0)
    held = UnsafeMutablePointer<cpu_pq>.allocate(capacity: 1)
    plain = UnsafePointer(held)
    numbers.start.update(from: centroids, count: wanted)
    held.initialize(
      to: cpu_pq(
        d: d, m: m, nbits: nbits, dsub: d / m, ksub: 1 << nbits, stride: 0,
        code_size: UInt64((Int(m) * Int(nbits) + 7) / 8), centroids: numbers.start, columns: nil, longest: 0))
    cpu_pq_prepare(held, numbers.start + wanted)
  }

  deinit {
    held.deallocate()
    numbers.release()
  }

  var codeSize: Int { Int(plain.pointee.code_size) }
}

extension CodeScan {
  /// Codes by column that meet all queries of an item: half of a core's second-level cache or less.
  private static let chunkBytes = 512 << 10

  /// How codes are scanned by tables.
  struct Tables {
    let columns: UnsafePointer<cpu_pq>
    /// Floats of scratch, beside the columns of codes.
    let scratch: Int
    /// Fills columns, a float a code, and scratch, from the code of offset 0.
    let pack:
      (UnsafePointer<UInt8>, inout cpu_pq_chunk, UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>) -> Float
    /// Scans for some queries; the floats that pack filled, what it returned, and the rest of scratch.
    let scan:
      (
        UnsafePointer<cpu_scan>, UnsafePointer<UInt32>, UInt32, inout cpu_pq_chunk, UnsafeMutablePointer<Float>, Float,
        UnsafeMutablePointer<Float>
      ) -> Void
    /// Whether few codes are better decoded.
    let mayDecode: Bool
  }

  /// Scans codes of a product quantizer by tables of distances. False where decoding them is less work.
  func scanProduct(_ item: ListScan.Item, _ order: UnsafePointer<UInt32>, _ workspace: Workspace) throws -> Bool {
    guard let pq = codec.product?.plain else { return false }
    let kernels = search.engine.kernels
    let tables = Tables(
      columns: pq, scratch: cpu_pq_scratch(pq),
      pack: { base, chunk, _, _ in
        cpu_pq_pack(kernels, pq, base, &chunk)
        return 0
      }, scan: { scan, order, count, chunk, _, _, scratch in cpu_pq_scan(scan, pq, order, 0, count, &chunk, scratch) },
      mayDecode: true)
    return try scanTables(tables, item, order, workspace)
  }

  /// Scans an item by tables. False where decoding its codes is less work: a table costs as much as comparing its
  /// centroids.
  func scanTables(
    _ tables: Tables, _ item: ListScan.Item, _ order: UnsafePointer<UInt32>, _ workspace: Workspace
  ) throws -> Bool {
    let columns = tables.columns
    let rows = rowsOf(item.list)
    let start = item.rows.lowerBound
    var chosen = item.rows.count
    var positions: UnsafeMutablePointer<UInt32>?
    if let selector = search.request.selector {
      let room = try workspace.positions(chosen)
      chosen = selector.select(ids: rows.ids.map { $0 + start }, first: Int64(start), count: chosen, into: room)
      positions = room
    }
    if chosen == 0 { return true }
    guard !tables.mayDecode || 4 * chosen >= Int(columns.pointee.ksub) else { return false }
    search.variants |= MF_TABLE_F32.rawValue
    let block = Int(CPU_PQ_BLOCK)
    let step = max(block, Self.chunkBytes / Int(cpu_pq_chunk_bytes(columns, 1)) * block)
    // Tables, which follow, start where vectors do.
    let most = (min(chosen, step) + 15) / 16 * 16
    let blockFloats = (Int(cpu_pq_chunk_bytes(columns, UInt64(most))) + 3) / 4
    let scratch = try workspace.decoded(blockFloats + most + tables.scratch)
    let terms = scratch + blockFloats
    for from in stride(from: 0, to: chosen, by: step) {
      let skipped = start + (positions == nil ? from : 0)
      var chunk = cpu_pq_chunk(
        n: UInt32(min(step, chosen - from)), positions: positions.map { UnsafePointer($0 + from) },
        first: UInt64(item.list) << 32 | UInt64(skipped), centroid: centroids.map { $0 + item.list * codec.d },
        blocks: scratch)
      let packed = tables.pack(rows.codes + skipped * codec.codeSize, &chunk, terms, terms + most)
      withUnsafePointer(to: search.scan) { scan in
        for query in stride(from: 0, to: item.queries.count, by: 32) where !search.call.isCancelled {
          let count = UInt32(min(32, item.queries.count - query))
          tables.scan(scan, order + query, count, &chunk, terms, packed, terms + most)
        }
      }
    }
    return true
  }
}
