import CMetalFaiss
import CPUKernels

/// Codes of RaBitQ, or of signs alone.
final class RaBitQCodec {
  /// What kernels see of it.
  let plain: UnsafePointer<cpu_rabitq>
  private let held: UnsafeMutablePointer<cpu_rabitq>
  private var center = Memory<Float>()

  init(_ raw: mf_codec, _ trained: UnsafePointer<Float>?, _ count: Int) throws {
    let isRaBitQ = raw.kind == MF_CODEC_RABITQ.rawValue
    guard !isRaBitQ || (raw.nbits >= 1 && raw.nbits <= UInt32(CPU_RABITQ_MAX_BITS)) else {
      throw Failure.value("nbits must be 1 to \(CPU_RABITQ_MAX_BITS), not \(raw.nbits)")
    }
    guard !isRaBitQ || raw.type <= 1 else { throw Failure.value("there is no type \(raw.type) of RaBitQ") }
    let d = Int(raw.d)
    guard count == 0 || count == d else { throw Failure.shape("\(count) trained numbers where \(d) are needed") }
    if let trained, count > 0 {
      if let at = firstRefused(trained, d, allowNaN: false, kernels: Engine.shared.kernels) {
        throw refusal(trained, at, d: d, what: "center")
      }
      try center.reserve(d, used: 0)
      center.start.update(from: trained, count: d)
    }
    held = UnsafeMutablePointer<cpu_rabitq>.allocate(capacity: 1)
    plain = UnsafePointer(held)
    held.initialize(
      to: cpu_rabitq(
        d: raw.d, nbits: isRaBitQ ? raw.nbits : 0, inner: isRaBitQ && raw.type == 1, signs: 0, more: 0, code_size: 0,
        center: count > 0 ? UnsafePointer(center.start) : nil))
    cpu_rabitq_layout(held)
  }

  deinit {
    held.deallocate()
    center.release()
  }

  var codeSize: Int { plain.pointee.code_size }

  /// Throws unless codes can be compared as asked.
  func check(_ request: Request) throws {
    let rounding = request.argument
    if plain.pointee.nbits == 0 {
      guard request.metric == MF_L2.rawValue else { throw Failure.value("codes of signs are compared by L2 only") }
      return
    }
    guard (request.metric == MF_INNER_PRODUCT.rawValue) == plain.pointee.inner else {
      throw Failure.value("codes were made for the other metric")
    }
    let bits = rounding.truncatingRemainder(dividingBy: Float(CPU_RABITQ_CENTERED))
    guard rounding >= 0, rounding < 32, rounding == rounding.rounded(), bits <= Float(CPU_RABITQ_MAX_QB) else {
      throw Failure.value("queries cannot be rounded as \(rounding) says")
    }
  }

  func encodeAll(
    _ x: UnsafePointer<Float>, about: UnsafePointer<Float>?, _ n: Int, _ codes: UnsafeMutablePointer<UInt8>
  ) throws {
    let pool = Engine.shared.pool
    let d = Int(plain.pointee.d)
    if let about, let at = firstRefused(about, n * d, allowNaN: false, kernels: Engine.shared.kernels) {
      throw refusal(about, at, d: d, what: "center")
    }
    let step = max(1, (1 << 14) / d)
    let each = (cpu_rabitq_encode_bytes(plain.pointee.d) + 63) / 64 * 64
    var scratch = Memory<UInt8>()
    defer { scratch.release() }
    try scratch.reserve(pool.threads * each, used: 0)
    let start = scratch.start
    pool.forEach((n + step - 1) / step, parallel: n * d > 50_000) { item, worker in
      let from = item * step
      cpu_rabitq_encode(
        plain, x + from * d, about.map { $0 + from * d }, UInt64(min(step, n - from)), codes + from * codeSize,
        start + worker * each)
    }
  }
}

extension CodeScan {
  /// Scans codes of signs. False where there are none.
  func scanRaBitQ(_ item: ListScan.Item, _ order: UnsafePointer<UInt32>, _ workspace: Workspace) throws -> Bool {
    guard let rabitq = codec.rabitq else { return false }
    let rows = rowsOf(item.list)
    let start = item.rows.lowerBound
    var chosen = item.rows.count
    var positions: UnsafePointer<UInt32>?
    if let selector = search.request.selector {
      let room = try workspace.positions(chosen)
      chosen = selector.select(ids: rows.ids.map { $0 + start }, first: Int64(start), count: chosen, into: room)
      positions = UnsafePointer(room)
    }
    if chosen == 0 { return true }
    // Of signs nothing is rounded, nor was the argument checked.
    let rounding = rabitq.plain.pointee.nbits == 0 ? 0 : UInt32(search.request.argument)
    let isCounted = rabitq.plain.pointee.nbits == 0 || (rabitq.plain.pointee.nbits == 1 && rounding % 16 > 0)
    search.variants |= (isCounted ? MF_SIGNS_COUNT.rawValue : MF_DECODE_F32.rawValue)
    var codes = cpu_rabitq_codes(
      base: rows.codes + start * codec.codeSize, positions: positions, n: UInt64(chosen),
      first: UInt64(item.list) << 32 | UInt64(start), centroid: centroids.map { $0 + item.list * codec.d })
    let bytes = cpu_rabitq_scan_bytes(rabitq.plain, rounding, UInt64(chosen))
    let room = UInt(bitPattern: try workspace.decoded(bytes / 4 + 16))
    let scratch = UnsafeMutableRawPointer(bitPattern: (room + 63) / 64 * 64)
    withUnsafePointer(to: search.scan) {
      cpu_rabitq_scan($0, rabitq.plain, rounding, order, 0, UInt32(item.queries.count), &codes, scratch)
    }
    return true
  }
}
