import CMetalFaiss
import CPUKernels

/// A search of codes of bits. Queries go through in blocks; rows, where there are few queries, in parts, each of which
/// finds for itself what is put together at the end.
final class BinarySearch {
  private static let hitBytes = 24 << 20
  private static let queryBytes = 4 << 20
  /// Queries from which on rows are laid out for many.
  private static let manyQueries = 4
  private static let manyInList = 6
  private static let chunkRows = 4096

  let engine = Engine.shared
  let request: Request
  let bytes: Int
  private let call: Call
  private let queries: UnsafePointer<UInt8>
  private let kernels: UnsafePointer<cpu_binary_kernels>
  private let stride: Int
  private var words = Memory<UInt64>()
  private var limits = Memory<UInt64>()
  private var collectors = Memory<cpu_binary_collector>()
  private var hits = Memory<cpu_binary_hit>()
  private var counts = Memory<UInt32>()
  private var shared = Memory<UInt32>()
  private var held = 0
  private var first = 0
  private var count = 0
  private var parts = 1
  private var variants: UInt32 = 0
  private var threads = 1
  private var scanned = 0.0

  init(_ request: Request, bytes: Int, queries: UnsafePointer<UInt8>, call: Call) {
    self.request = request
    self.bytes = bytes
    self.queries = queries
    self.call = call
    kernels = cpu_binary_table(engine.kernels)
    stride = Int(cpu_binary_stride(UInt64(bytes)))
  }

  deinit {
    releaseHits()
    words.release()
    limits.release()
    collectors.release()
    hits.release()
    counts.release()
    shared.release()
  }

  private func releaseHits() {
    if request.k == 0 { for i in 0..<held { free(collectors.start[i].hits) } }
    held = 0
  }

  /// What part of the rows some queries of the block look at; answers how many pairs that were.
  private typealias Body = (inout cpu_binary_scan, Range<Int>, Int) -> Int

  /// Runs the body for groups of queries and parts of rows, and `after` once for every block of queries. `most`: what
  /// one query can find. `ordered`: whether ids come in ascending order.
  private func run(group: Int, parts: Int, most: Int, ordered: Bool, after: () throws -> Void, _ body: Body) throws {
    let k = min(request.k, most)
    let capacity = Int(cpu_binary_capacity(UInt64(k)))
    let distances = k == 0 ? 0 : 8 * bytes + 1
    let each = parts * max(1, capacity * MemoryLayout<cpu_binary_hit>.stride + distances * 4)
    let size = max(1, min(request.nq, Self.hitBytes / each, Self.queryBytes / (stride * 8)))
    self.parts = parts
    try words.reserve(size * stride, used: 0)
    try limits.reserve(size * parts, used: 0)
    try collectors.reserve(size * parts, used: 0)
    try shared.reserve(size, used: 0)
    try counts.reserve(size * parts * distances, used: 0)
    let (room, overflow) = (size * parts).multipliedReportingOverflow(by: capacity)
    guard !overflow else { throw Failure.memory(Int.max) }
    try hits.reserve(room, used: 0)
    for start in Swift.stride(from: 0, to: request.nq, by: size) {
      begin(start, min(size, request.nq - start), k: k, ordered: ordered)
      let groups = (count + group - 1) / group
      var pairs = [Int](repeating: 0, count: groups * parts)
      pairs.withUnsafeMutableBufferPointer { pairs in
        threads = max(
          threads,
          engine.pool.forEach(groups * parts, parallel: count * most * bytes > 500_000) { item, _ in
            if call.isCancelled { return }
            let part = item % parts
            var scan = scan(part)
            let from = item / parts * group
            pairs[item] = body(&scan, from..<min(count, from + group), part)
          })
      }
      scanned += pairs.reduce(0) { $0 + Double($1) }
      try call.throwIfCancelled()
      merge()
      try after()
    }
    call.pointee.scanned = scanned
    call.pointee.variants = variants
    call.pointee.threads = UInt32(threads)
  }

  private func begin(_ start: Int, _ n: Int, k: Int, ordered: Bool) {
    releaseHits()
    (first, count, held) = (start, n, n * parts)
    cpu_binary_queries(queries + start * bytes, UInt32(bytes), UInt64(n), words.start)
    // Past every distance; or a radius, below which distances are whole numbers.
    let radius = Double(request.radius).rounded(.up)
    let limit = request.k > 0 ? Double(1 << 32) : min(max(radius, 0), Double(1 << 32))
    let capacity = Int(cpu_binary_capacity(UInt64(k)))
    let distances = k == 0 ? 0 : 8 * bytes + 1
    shared.start.update(repeating: .max, count: n)
    counts.start.update(repeating: 0, count: held * distances)
    for i in 0..<held {
      limits.start[i] = UInt64(limit)
      (collectors.start + i).initialize(
        to: cpu_binary_collector(
          k: UInt64(k), count: 0, capacity: UInt64(capacity), hits: k > 0 ? hits.start + i * capacity : nil,
          counts: counts.start + i * distances, distances: UInt32(distances), bound: UInt32(8 * bytes), within: 0,
          last: .max, ordered: ordered, failed: false))
    }
  }

  private func scan(_ part: Int) -> cpu_binary_scan {
    cpu_binary_scan(
      kernels: kernels, bytes: UInt32(bytes), words: cpu_binary_words(UInt64(bytes)), stride: UInt32(stride),
      queries: words.start, limits: limits.start + part * count,
      shared: shared.start, collectors: collectors.start + part * count)
  }

  /// Puts what parts have found together.
  private func merge() {
    if parts == 1 { return }
    engine.pool.forEach(count, parallel: count * parts * request.k > 10_000) { q, _ in
      withUnsafePointer(to: scan(0)) { all in
        for part in 1..<parts { cpu_binary_merge(all, UInt32(q), collectors.start + part * count + q) }
      }
    }
  }

  /// Writes the block's results.
  private func finish(_ distances: UnsafeMutablePointer<Int32>, _ labels: UnsafeMutablePointer<Int64>) throws {
    engine.pool.forEach(count, parallel: count * request.k > 10_000) { q, _ in
      let at = (first + q) * request.k
      cpu_binary_finish(collectors.start + q, UInt64(request.k), distances + at, labels + at)
    }
    for q in 0..<count { try check(collectors.start + q) }
  }

  private func check(_ collector: UnsafePointer<cpu_binary_collector>) throws {
    if collector.pointee.failed { throw Failure.memory(Int(collector.pointee.capacity) * 32) }
  }

  /// Appends the block's results to those of a range search.
  private func collect(_ result: RangeResult, _ lims: UnsafeMutablePointer<UInt64>) throws {
    for q in 0..<count {
      let collector = collectors.start + q
      try check(collector)
      cpu_binary_sort(collector)
      let found = UnsafeBufferPointer(start: collector.pointee.hits, count: Int(collector.pointee.count))
      try result.append(found.map { Float($0.distance) }, found.map { UInt64(bitPattern: $0.id) }, found.count)
      lims[first + q + 1] = UInt64(result.count)
    }
  }

  /// Where results go.
  enum Target {
    case nearest(UnsafeMutablePointer<Int32>, UnsafeMutablePointer<Int64>)
    case within(RangeResult, UnsafeMutablePointer<UInt64>)
  }

  private func write(_ target: Target) throws {
    switch target {
    case .nearest(let distances, let labels): try finish(distances, labels)
    case .within(let result, let lims): try collect(result, lims)
    }
  }

  /// All rows, whose ids are their positions.
  func flat(_ codes: UnsafePointer<UInt8>, _ rows: Int, _ target: Target) throws {
    let threads = engine.pool.threads
    let many = request.nq >= Self.manyQueries
    let group = many ? min(256, max(16, (request.nq + 4 * threads - 1) / (4 * threads))) : request.nq
    let groups = (request.nq + group - 1) / group
    let parts = groups >= 4 * threads ? 1 : max(1, min(rows / Self.chunkRows, 4 * threads / groups))
    variants = (many ? MF_HAMMING_BLOCK : MF_HAMMING_DIRECT).rawValue
    try run(group: group, parts: parts, most: rows, ordered: true, after: { try write(target) }) { scan, queries, part in
      let range = rows * part / parts..<rows * (part + 1) / parts
      return scanFlat(&scan, codes, range, queries, many: many)
    }
  }

  private func scanFlat(
    _ scan: inout cpu_binary_scan, _ codes: UnsafePointer<UInt8>, _ range: Range<Int>, _ queries: Range<Int>, many: Bool
  ) -> Int {
    var pairs = 0
    withUnsafeTemporaryAllocation(of: UInt64.self, capacity: many ? cpu_binary_room(UInt32(stride)) : 1) { room in
      withUnsafeTemporaryAllocation(of: UInt32.self, capacity: request.selector == nil ? 1 : Self.chunkRows) { positions in
        for from in Swift.stride(from: range.lowerBound, to: range.upperBound, by: Self.chunkRows) {
          if call.isCancelled { return }
          var n = min(Self.chunkRows, range.upperBound - from)
          var chosen: UnsafePointer<UInt32>?
          if let selector = request.selector {
            n = selector.select(ids: nil, first: Int64(from), count: n, into: positions.baseAddress!)
            chosen = UnsafePointer(positions.baseAddress!)
          }
          if n == 0 { continue }
          var rows = cpu_binary_rows(
            codes: codes + from * bytes, ids: nil, first: Int64(from), positions: chosen, n: UInt64(n))
          pairs += n * queries.count
          if many {
            cpu_binary_blocks(&scan, nil, UInt32(queries.lowerBound), UInt32(queries.count), &rows, room.baseAddress!)
          } else {
            for query in queries { cpu_binary_direct(&scan, UInt32(query), &rows) }
          }
        }
      }
    }
    return pairs
  }

  /// The lists that queries probe.
  func lists(_ store: CodeLists, _ probes: UnsafePointer<Int64>, _ nprobe: Int, _ target: Target) throws {
    let nlist = store.lists.count
    var longest = 0
    for q in 0..<request.nq {
      var rows = 0
      for list in UnsafeBufferPointer(start: probes + q * nprobe, count: nprobe) where list >= 0 {
        guard list < Int64(nlist) else { throw Failure.value("list \(list) is not among \(nlist)") }
        rows += store.lists[Int(list)].count
      }
      longest = max(longest, rows)
    }
    let threads = engine.pool.threads
    let parts = request.nq >= threads ? 1 : max(1, min(nprobe, longest / Self.chunkRows, 2 * threads))
    let group = max(1, min(512, (request.nq + 2 * threads - 1) / (2 * threads)))
    try run(group: group, parts: parts, most: longest, ordered: false, after: { try write(target) }) {
      scan, queries, part in
      let range = nprobe * part / parts..<nprobe * (part + 1) / parts
      // First the list nearest to each query, where most of what it finds is; one query takes the others in turn.
      let turns = queries.count == 1 ? [range] : [range.prefix(1), range.dropFirst()]
      var pairs = 0
      for turn in turns {
        // List and query in one word.
        var met: [UInt64] = []
        met.reserveCapacity(queries.count * turn.count)
        for query in queries {
          for probe in turn {
            let list = probes[(first + query) * nprobe + probe]
            if list >= 0 { met.append(UInt64(list) << 32 | UInt64(query)) }
          }
        }
        if queries.count > 1 { met.sort() }
        pairs += scanLists(&scan, store, met)
      }
      return pairs
    }
  }

  /// Lists, each for all queries that look at it.
  private func scanLists(_ scan: inout cpu_binary_scan, _ store: CodeLists, _ met: [UInt64]) -> Int {
    var pairs = 0
    withUnsafeTemporaryAllocation(of: UInt64.self, capacity: cpu_binary_room(UInt32(stride))) { room in
      withUnsafeTemporaryAllocation(of: UInt32.self, capacity: request.selector == nil ? 1 : Self.chunkRows) { positions in
        var queries: [UInt32] = []
        var from = 0
        while from < met.count, !call.isCancelled {
          let list = met[from] >> 32
          queries.removeAll(keepingCapacity: true)
          while from < met.count, met[from] >> 32 == list {
            queries.append(UInt32(truncatingIfNeeded: met[from]))
            from += 1
          }
          let held = store.lists[Int(list)]
          pairs += scanList(
            &scan, queries, held.rows.start, UnsafePointer(held.ids.start), held.count, room.baseAddress!,
            positions.baseAddress!)
        }
      }
    }
    return pairs
  }

  /// Rows with ids of their own.
  private func scanList(
    _ scan: inout cpu_binary_scan, _ queries: [UInt32], _ codes: UnsafePointer<UInt8>, _ ids: UnsafePointer<Int64>,
    _ count: Int, _ room: UnsafeMutablePointer<UInt64>, _ positions: UnsafeMutablePointer<UInt32>
  ) -> Int {
    var pairs = 0
    let step = request.selector == nil ? max(count, 1) : Self.chunkRows
    for from in Swift.stride(from: 0, to: count, by: step) where !call.isCancelled {
      var n = min(step, count - from)
      var chosen: UnsafePointer<UInt32>?
      if let selector = request.selector {
        n = selector.select(ids: ids + from, first: 0, count: n, into: positions)
        chosen = UnsafePointer(positions)
      }
      if n == 0 { continue }
      var rows = cpu_binary_rows(
        codes: codes + from * bytes, ids: ids + from, first: 0, positions: chosen, n: UInt64(n))
      if queries.count >= Self.manyInList {
        variants |= MF_HAMMING_BLOCK.rawValue
        cpu_binary_blocks(&scan, queries, 0, UInt32(queries.count), &rows, room)
      } else {
        variants |= MF_HAMMING_DIRECT.rawValue
        for query in queries { cpu_binary_direct(&scan, query, &rows) }
      }
      pairs += n * queries.count
    }
    return pairs
  }

  /// The rows that each query names: nq + 1 offsets, and then positions in order.
  func among(_ codes: UnsafePointer<UInt8>, _ count: Int, _ candidates: UnsafePointer<UInt32>, _ target: Target) throws {
    let positions = candidates + request.nq + 1
    var longest = 0
    for q in 0..<request.nq {
      guard candidates[q] <= candidates[q + 1], candidates[0] == 0 else {
        throw Failure.value("the candidates of query \(q) end before they begin")
      }
      longest = max(longest, Int(candidates[q + 1] - candidates[q]))
    }
    for i in 0..<Int(candidates[request.nq]) where positions[i] >= count {
      throw Failure.value("candidate \(positions[i]) is no position below \(count)")
    }
    variants = MF_HAMMING_DIRECT.rawValue
    let group = max(1, min(16, request.nq / (4 * engine.pool.threads)))
    try run(group: group, parts: 1, most: longest, ordered: false, after: { try write(target) }) { scan, queries, _ in
      var pairs = 0
      for query in queries {
        let (from, to) = (Int(candidates[first + query]), Int(candidates[first + query + 1]))
        var rows = cpu_binary_rows(
          codes: codes, ids: nil, first: 0, positions: positions + from, n: UInt64(to - from))
        cpu_binary_direct(&scan, UInt32(query), &rows)
        pairs += to - from
      }
      return pairs
    }
  }
}
