import CMetalFaiss
import CPUKernels

/// Graphs that are made at once, on the ground alone.
extension HNSW {
  /// Nodes each of which is looked at for each of the others, however the graph is to be made: no longer than rounds.
  private static let looksAtAll = 2048
  /// Nodes of one item of a loop.
  private static let group = 64

  /// Makes the graph of all rows anew.
  func build(_ raw: mf_hnsw_build, _ call: Call) throws -> Walked {
    let (neighbors, keep) = (Int(raw.neighbors), Int(max(raw.keep, raw.neighbors)))
    guard neighbors >= 1, keep <= 1 << 16 else { throw Failure.value("neighbors must be 1 to 65,536, not \(keep)") }
    guard raw.sample >= 1, raw.sample <= 1 << 12, raw.back <= 1 << 12 else {
      throw Failure.value("sample must be 1 to 4,096 and back at most that, not \(raw.sample) and \(raw.back)")
    }
    if raw.kind == MF_HNSW_NEIGHBORS.rawValue {
      guard neighbors == width else { throw Failure.value("nodes have \(width) links, not \(neighbors)") }
    } else {
      guard raw.kind == MF_HNSW_SPREAD.rawValue else { throw Failure.value("there is no graph \(raw.kind)") }
      guard neighbors <= MAX_WIDTH else { throw Failure.value("neighbors must be at most \(MAX_WIDTH)") }
      guard raw.list >= 1, raw.list < 1 << 31, raw.candidates >= 1, raw.candidates < 1 << 31 else {
        throw Failure.value("list and candidates must be at least 1")
      }
    }
    try renew()
    if count == 0 { return Walked(threads: 1, computed: 0) }
    var done = Walked(threads: 1, computed: 0)
    var links = Memory<UInt32>()
    defer { links.release() }
    try links.reserve(count * neighbors, used: 0)
    try findNeighbors(raw, keep: keep, links.start, &done, call)
    if raw.kind == MF_HNSW_NEIGHBORS.rawValue {
      graph.ground.update(from: links.start, count: count * width)
      enter(at: 0)
      return done
    }
    try enter(at: middle(&done))
    try spread(raw, links.start, &done, call)
    try connect(Int(raw.list), &done)
    return done
  }

  private func groups(_ body: (Int, UnsafeMutablePointer<cpu_walker>) -> Void, _ done: inout Walked, _ call: Call) throws {
    let group = Self.group
    let walked = try walk((count + group - 1) / group) { item, walker in
      if call.isCancelled { return }
      for node in item * group..<min(count, (item + 1) * group) { body(node, walker) }
    }
    done.add(walked)
    try call.throwIfCancelled()
  }

  /// Each node's nearest neighbors, all but exactly.
  private func findNeighbors(
    _ raw: mf_hnsw_build, keep: Int, _ links: UnsafeMutablePointer<UInt32>, _ done: inout Walked, _ call: Call
  ) throws {
    let (n, told) = (count, 2 * Int(raw.sample + raw.back))
    var pools = Memory<UInt64>()
    var lists = Memory<UInt32>()
    defer {
      pools.release()
      lists.release()
    }
    let exact = raw.exact != 0 || n <= Self.looksAtAll
    try pools.reserve(n * keep, used: 0)
    try lists.reserve(n * (exact ? 1 : told + 5), used: 0)
    lists.start.update(repeating: 0, count: n)
    let descent = cpu_descent(
      keep: UInt32(keep), sample: raw.sample, back: raw.back, round: 0, pools: pools.start, known: lists.start,
      told: lists.start + 5 * n, counts: lists.start + n)
    let graph = self.graph
    if exact {
      try groups({ cpu_descent_exact($1, [graph], [descent], UInt32($0)) }, &done, call)
    } else {
      try groups({ cpu_descent_start($1, [graph], [descent], UInt32($0)) }, &done, call)
      try descend(descent, rounds: Int(raw.rounds), enough: n * Int(raw.neighbors) / 1000, &done, call)
    }
    let neighbors = raw.neighbors
    try groups({ node, _ in
      cpu_descent_links([descent], UInt32(node), neighbors, links + node * Int(neighbors))
    }, &done, call)
  }

  /// Rounds, until hardly any node finds others.
  private func descend(
    _ descent: cpu_descent, rounds: Int, enough: Int, _ done: inout Walked, _ call: Call
  ) throws {
    let (graph, n) = (self.graph, count)
    let parts = Engine.shared.pool.threads
    for round in 0..<rounds {
      var descent = descent
      descent.round = UInt32(round)
      let this = descent
      try groups({ node, _ in cpu_descent_tell([this], UInt32(node)) }, &done, call)
      _ = try walk(parts) { part, _ in
        cpu_descent_back([graph], [this], UInt32(n * part / parts), UInt32(n * (part + 1) / parts))
      }
      var came: UInt64 = 0
      try withUnsafeMutablePointer(to: &came) { came in
        try groups({ node, walker in
          cpu_atomic_add(came, UInt64(cpu_descent_join(walker, [graph], [this], UInt32(node))))
        }, &done, call)
      }
      if came <= UInt64(enough) { return }
    }
  }

  /// The node nearest to the mean of all rows.
  private func middle(_ done: inout Walked) throws -> UInt32 {
    let d = rows.d
    var sums = [Double](repeating: 0, count: d)
    var row = [Float](repeating: 0, count: d)
    for node in 0..<count {
      try rows.gather([Int64(node)], 1, &row)
      for j in 0..<d { sums[j] += Double(row[j]) }
    }
    let mean = sums.map { Float($0 / Double(count)) }
    let group = 4096
    let items = (count + group - 1) / group
    var nearest = [UInt64](repeating: .max, count: items)
    let graph = self.graph
    try nearest.withUnsafeMutableBufferPointer { nearest in
      let out = nearest.baseAddress!
      done.add(
        try walk(items) { item, walker in
          out[item] = cpu_graph_nearest(
            walker, [graph], mean, UInt32(item * group), UInt32(min(count, (item + 1) * group)))
        })
    }
    return UInt32(truncatingIfNeeded: nearest.min()! & 0x7fff_ffff)
  }

  /// Links each node to those that spread out from it, and these back to it.
  private func spread(
    _ raw: mf_hnsw_build, _ links: UnsafeMutablePointer<UInt32>, _ done: inout Walked, _ call: Call
  ) throws {
    var neighbors = graph
    neighbors.ground = links
    neighbors.width = raw.neighbors
    let (known, n, size) = (neighbors, count, width)
    let ef = min(Int(raw.list), max(1, n - 1))
    let starts = GraphStart.links.nodes(known, ef) ?? [entry]
    let ground = graph.ground!
    try starts.withUnsafeBufferPointer { starts in
      let how = cpu_walk(
        ef: UInt32(ef), k: 0, steps: 0, start_count: UInt32(starts.count), starts: starts.baseAddress, allowed: nil)
      try groups({ node, walker in
        cpu_nsg_link(walker, [known], UInt32(node), [how], raw.candidates, UInt32(size), ground + node * size)
      }, &done, call)
    }
    // Who links to each node, in order.
    var first = [Int](repeating: 0, count: n + 1)
    for i in 0..<n * size where ground[i] != CPU_NO_NODE { first[Int(ground[i]) + 1] += 1 }
    for node in 0..<n { first[node + 1] += first[node] }
    var back = [UInt32](repeating: 0, count: first[n])
    var next = first
    for node in 0..<n {
      for i in 0..<size where ground[node * size + i] != CPU_NO_NODE {
        let other = Int(ground[node * size + i])
        back[next[other]] = UInt32(node)
        next[other] += 1
      }
    }
    let graph = self.graph
    try back.withUnsafeBufferPointer { back in
      let back = back.baseAddress!
      try groups({ node, walker in
        for from in stride(from: first[node], to: first[node + 1], by: Int(CPU_HNSW_BATCH)) {
          cpu_hnsw_join(
            walker, [graph], UInt32(node), 0, back + from, UInt32(min(Int(CPU_HNSW_BATCH), first[node + 1] - from)))
        }
      }, &done, call)
    }
  }

  /// Links to nodes that cannot be reached from the entry, from near ones that can.
  private func connect(_ ef: Int, _ done: inout Walked) throws {
    let (ground, size, d) = (graph.ground!, width, rows.d)
    var reached = [Bool](repeating: false, count: count)
    func reach(_ from: UInt32) {
      var waiting = [from]
      while let node = waiting.popLast() {
        for i in 0..<size where ground[Int(node) * size + i] != CPU_NO_NODE {
          let other = ground[Int(node) * size + i]
          if reached[Int(other)] { continue }
          reached[Int(other)] = true
          waiting.append(other)
        }
      }
    }
    func roomOf(_ node: Int) -> Int? { (0..<size).first { ground[node * size + $0] == CPU_NO_NODE } }
    reached[Int(entry)] = true
    reach(entry)
    let k = min(ef, count)
    var row = [Float](repeating: 0, count: d)
    var distances = [Float](repeating: 0, count: k)
    var labels = [Int64](repeating: 0, count: k)
    let how = cpu_walk(ef: UInt32(k), k: UInt32(k), steps: 0, start_count: 0, starts: nil, allowed: nil)
    let graph = self.graph
    // Nodes before this one have no room.
    var roomy = 0
    for node in 0..<count where !reached[node] {
      try rows.gather([Int64(node)], 1, &row)
      done.add(
        try walk(1) { _, walker in
          _ = cpu_hnsw_search(walker, [graph], row, [how], &distances, &labels)
        })
      let near = labels.filter { $0 >= 0 && reached[Int($0)] }.map { Int($0) }
      if let parent = near.first(where: { roomOf($0) != nil }) {
        ground[parent * size + roomOf(parent)!] = UInt32(node)
      } else {
        while roomy < count, !reached[roomy] || roomOf(roomy) == nil { roomy += 1 }
        // Where none has room, the nearest's last link gives way; whom it led to may be out of reach then.
        let parent = roomy < count ? roomy : near.first ?? Int(entry)
        ground[parent * size + (roomOf(parent) ?? size - 1)] = UInt32(node)
      }
      reached[node] = true
      reach(UInt32(node))
    }
  }
}

private let MAX_WIDTH = 2 * Int(CPU_HNSW_MAX_LINKS)

@_cdecl("mf_hnsw_build_graph")
public func hnswBuildGraph(_ raw: UnsafePointer<mf_hnsw_build>, _ call: Call) -> Int32 {
  call.run("add") {
    let hnsw = try HandleTable.shared.find(raw.pointee.hnsw, HNSW.self)
    let done = try hnsw.lock.writing { try hnsw.build(raw.pointee, call) }
    call.pointee.threads = UInt32(done.threads)
    call.pointee.scanned = done.computed
  }
}
