import CMetalFaiss
import CPUKernels

/// What a search was asked, checked.
struct Request {
  let metric: UInt32
  let argument: Float
  let nq: Int
  /// 0 for a range search.
  let k: Int
  let radius: Float
  let selector: Selector?
  /// Rows of lists that a query looks at; 0 is all.
  let maxCodes: Int
  let flags: UInt32

  init(_ raw: UnsafePointer<mf_search>, ranged: Bool) throws {
    let raw = raw.pointee
    metric = raw.metric
    argument = raw.metric_arg
    nq = try count(raw.nq, "nq")
    k = ranged ? 0 : try count(raw.k, "k", atLeast: 1)
    radius = raw.radius
    selector = raw.selector == 0 ? nil : try HandleTable.shared.find(raw.selector, Selector.self)
    maxCodes = Int(raw.max_codes)
    flags = raw.flags
    guard !ranged || !radius.isNaN else { throw Failure.value("radius is not a number") }
  }

  /// Products and squared differences run in tiles; other metrics pair by pair.
  var isTiled: Bool { metric == MF_L2.rawValue || metric == MF_INNER_PRODUCT.rawValue || metric == MF_COSINE.rawValue }
  var isSimilarity: Bool {
    metric == MF_INNER_PRODUCT.rawValue || metric == MF_JACCARD.rawValue || metric == MF_COSINE.rawValue
  }
}

/// One search under way: the collectors of a block of queries, and what its scans share.
final class Search {
  /// Memory of a search, whatever the number of queries: they go through in blocks.
  static let collectorBytes = 24 << 20
  static let queryBytes = 16 << 20

  let engine = Engine.shared
  let request: Request
  let d: Int
  let call: Call
  /// Queries a block holds at most.
  let blockSize: Int
  let workspaces: Workspaces
  private(set) var scan: cpu_scan
  private(set) var first = 0
  private(set) var count = 0
  /// Bits of the kernels that ran.
  var variants: UInt32 = 0
  var threads = 1
  private var recomputed = 0.0

  private let queries: UnsafePointer<Float>
  let source: cpu_source
  private var collectors = Memory<cpu_collector>()
  private var items = Memory<UInt8>()

  init(_ request: Request, queries: UnsafePointer<Float>, source: cpu_source, call: Call) throws {
    self.request = request
    self.call = call
    self.queries = queries
    self.source = source
    d = Int(source.d)
    let capacity = request.k == 0 ? 1024 : Int(cpu_collector_capacity(UInt64(request.k)))
    let each = capacity * Int(CPU_CANDIDATE_BYTES) + MemoryLayout<cpu_collector>.stride
    blockSize = max(1, min(request.nq, Self.collectorBytes / each, Self.queryBytes / (d * 4)))
    scan = cpu_scan()
    workspaces = engine.shelf.borrow(threads: engine.pool.threads)
    try collectors.reserve(blockSize, used: 0)
    if request.k > 0 {
      let (wanted, overflow) = blockSize.multipliedReportingOverflow(by: capacity * Int(CPU_CANDIDATE_BYTES))
      guard !overflow else { throw Failure.memory(Int.max) }
      try items.reserve(wanted, used: 0)
    }
    let bad = firstRefused(
      queries, request.nq * d, allowNaN: request.metric == MF_NAN_EUCLIDEAN.rawValue, kernels: engine.kernels)
    if let bad { throw refusal(queries, bad, d: d, what: "query") }
  }

  deinit {
    releaseRanges()
    collectors.release()
    items.release()
    engine.shelf.giveBack(workspaces)
  }

  /// Starts a block of queries.
  func begin(_ start: Int) {
    releaseRanges()
    first = start
    count = min(blockSize, request.nq - start)
    let bound = request.k == 0 ? (request.isSimilarity ? -request.radius : request.radius) : Float.infinity
    startCollectors(k: request.k, bound: bound)
    scan = cpu_scan(
      kernels: engine.kernels, source: source, queries: queries + first * d, collectors: collectors.start,
      locations: request.flags & MF_SEARCH_LOCATIONS.rawValue != 0)
  }

  private func startCollectors(k: Int, bound: Float) {
    let room = request.k == 0 ? 0 : Int(cpu_collector_capacity(UInt64(request.k))) * Int(CPU_CANDIDATE_BYTES)
    for q in 0..<count {
      let collector = collectors.start + q
      collector.initialize(to: cpu_collector())
      collector.pointee.k = UInt64(k)
      collector.pointee.bound = bound
      collector.pointee.hoped = .infinity
      if room > 0 { cpu_collector_place(collector, items.start + q * room, cpu_collector_capacity(UInt64(k))) }
    }
  }

  /// Rows worth sampling to guess at bounds, of some: as many as the guess saves.
  func sampleSize(of rows: Int) -> Int {
    request.k >= 32 && rows >= max(1 << 15, 64 * request.k) && rows < 1 << 32 ? 2048 : 0
  }

  /// Guesses at every query's bound from a scan of `sample` of `rows` rows.
  func guess(_ sample: Int, of rows: Int, _ scan: () throws -> Void) rethrows {
    // As many of the sample as all but surely hold the k nearest: a Poisson variable, and room.
    let expected = Double(sample) * Double(request.k) / Double(rows)
    startCollectors(k: min(request.k, Int(expected + 5 * expected.squareRoot() + 5)), bound: .infinity)
    try scan()
    let (k, capacity) = (UInt64(request.k), cpu_collector_capacity(UInt64(request.k)))
    let threads = engine.pool.threads
    withUnsafePointer(to: self.scan) { scan in
      _ = engine.pool.forEach(threads, parallel: count > 64) { part, _ in
        for q in stride(from: part, to: count, by: threads) { cpu_collector_guess(scan, UInt64(q), k, capacity) }
      }
    }
  }

  private func releaseRanges() {
    if request.k == 0 { for q in 0..<count { free(collectors.start[q].location) } }
    count = 0
  }


  /// Writes the results of some queries of the block.
  func finish(_ range: Range<Int>, _ distances: UnsafeMutablePointer<Float>, _ labels: UnsafeMutablePointer<Int64>) {
    withUnsafePointer(to: scan) { scan in
      for q in range {
        let at = (first + q) * request.k
        cpu_collector_finish(scan, UInt64(q), distances + at, labels + at)
      }
    }
  }

  func finishAll(_ distances: UnsafeMutablePointer<Float>, _ labels: UnsafeMutablePointer<Int64>) {
    let group = max(1, min(16, count / (4 * engine.pool.threads)))
    engine.pool.forEach((count + group - 1) / group, parallel: count * request.k * d > 50_000) { item, _ in
      finish(item * group..<min(count, (item + 1) * group), distances, labels)
    }
  }

  /// After a block: what it cost, and whether it ran to its end.
  func end() throws {
    for q in 0..<count {
      recomputed += Double(collectors.start[q].recomputed)
      if collectors.start[q].failed { throw Failure.memory(count * 64) }
    }
    try call.throwIfCancelled()
    call.pointee.recomputed = recomputed
    call.pointee.variants = variants
    call.pointee.threads = UInt32(threads)
  }

  /// Appends the block's results to those of a range search.
  func collect(_ result: RangeResult, _ lims: UnsafeMutablePointer<UInt64>) throws {
    engine.pool.forEach(count, parallel: count > 1) { q, _ in
      withUnsafePointer(to: scan) { cpu_collector_finish_range($0, UInt64(q)) }
    }
    for q in 0..<count {
      let found = collectors.start[q]
      try result.append(found.upper, found.location, Int(found.count))
      lims[first + q + 1] = UInt64(result.count)
    }
  }

  /// Kernel of tiles to start with: bfloat16 halves the arithmetic where the machine has it, and
  /// its winners are computed again. Range searches would compute too much again.
  var preferredTile: UInt32 {
    engine.kernels.pointee.bf16 && request.k > 0 && d >= 16 ? MF_TILE_BF16.rawValue : MF_TILE_F32.rawValue
  }

  /// Whether bfloat16 leaves too many rows undecided: each costs a row read and a sum in double.
  func isTooCoarse(_ scanned: Double) -> Bool {
    var resolved = 0.0
    for q in 0..<count { resolved += Double(collectors.start[q].resolved) }
    return resolved > 0.004 * scanned + 4096
  }

  /// Writes the mean of some rows of a list, of which 32 are near enough. Answers whether they lie near enough to the
  /// origin, for what they differ, to be multiplied as they are.
  func setCenter(_ center: UnsafeMutablePointer<Float>, _ base: UnsafePointer<Float>, _ n: Int) -> Bool {
    let kernels = engine.kernels
    let used = min(n, 32)
    center.update(repeating: 0, count: d)
    let cosine = request.metric == MF_COSINE.rawValue
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

/// Whether rows lie so far from the origin, for what they differ, that products of rows as they are would
/// round most of it away. Both are squared lengths.
func isFar(_ middle: Double, spread: Double) -> Bool { middle > 1e5 * spread }

/// Position of the first infinity, or NaN unless those are allowed.
func firstRefused(
  _ x: UnsafePointer<Float>, _ count: Int, allowNaN: Bool, kernels: UnsafePointer<cpu_kernels>
) -> Int? {
  var at = Int(kernels.pointee.find_nonfinite(x, UInt64(count)))
  if allowNaN { while at < count, !x[at].isInfinite { at += 1 } }
  return at < count ? at : nil
}

func refusal(_ x: UnsafePointer<Float>, _ at: Int, d: Int, what: String) -> Failure {
  Failure.value("\(what) \(at / d) holds \(x[at].isNaN ? "NaN" : "an infinity") at column \(at % d)")
}

/// What a range search found, until the other side has taken it.
final class RangeResult {
  private(set) var count = 0
  private var distances = Memory<Float>()
  private var labels = Memory<UInt64>()

  deinit {
    distances.release()
    labels.release()
  }

  func append(_ distances: UnsafePointer<Float>?, _ labels: UnsafePointer<UInt64>?, _ n: Int) throws {
    guard n > 0, let distances, let labels else { return }
    try self.distances.grow(count + n, used: count)
    try self.labels.grow(count + n, used: count)
    (self.distances.start + count).update(from: distances, count: n)
    (self.labels.start + count).update(from: labels, count: n)
    count += n
  }

  func copy(_ distances: UnsafeMutablePointer<Float>, _ labels: UnsafeMutablePointer<Int64>) {
    distances.update(from: self.distances.start, count: count)
    memcpy(labels, self.labels.start, count * 8)
  }
}

@_cdecl("mf_range_take")
public func rangeTake(
  _ handle: UInt32, _ distances: UnsafeMutablePointer<Float>?, _ labels: UnsafeMutablePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("take results") {
    let result = try HandleTable.shared.find(handle, RangeResult.self)
    if let distances, let labels { result.copy(distances, labels) }
    try HandleTable.shared.remove(handle)
  }
}
