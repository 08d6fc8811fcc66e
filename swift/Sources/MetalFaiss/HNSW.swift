import CMetalFaiss
import CPUKernels

/// Rows, and a graph over them: a node is a row's position. Nodes that go take their links with them, and
/// those after them move down.
final class HNSW: Mappable {
  let rows: GraphRows
  let m: Int
  /// Links of a node on the ground.
  let width: Int
  /// Where searches start.
  let start: GraphStart
  let metric: UInt32
  let argument: Float
  let lock = ReadWriteLock()
  /// Nodes in the graph; rows may lie ready for more.
  var count = 0
  var entry = CPU_NO_NODE
  /// The graph, where it is in a file with its rows: searched there, and copied before it changes.
  var file: HNSWFile?
  private var ground = Memory<UInt32>()
  private var upper = Memory<UInt32>()
  private var blocks = Memory<UInt32>()
  private(set) var levels = Memory<UInt8>()
  private var usedBlocks = 0
  private let shelf = WalkerShelf()
  /// Nodes whose memory was put in order.
  private var settled = 0

  init(_ rows: GraphRows, m: Int, width: Int, start: GraphStart, metric: UInt32, argument: Float) {
    self.rows = rows
    self.m = m
    self.width = width
    self.start = start
    self.metric = metric
    self.argument = argument
  }

  deinit { release() }

  private func release() {
    settled = 0
    ground.release()
    upper.release()
    blocks.release()
    levels.release()
  }

  var allowsNaN: Bool { metric == MF_NAN_EUCLIDEAN.rawValue }

  var graph: cpu_graph {
    var graph = cpu_graph(
      kernels: Engine.shared.kernels, rows: nil, codes: nil, codec: nil, d: UInt32(rows.d), metric: metric,
      metric_arg: argument, m: UInt32(m), width: UInt32(width), count: UInt32(count), entry: entry,
      ground: ground.start, upper: upper.start, blocks: blocks.start, levels: levels.start, file: file?.place)
    rows.place(in: &graph)
    return graph
  }

  /// Runs body(item, walker) for every item; memory that a walker lacked is an error.
  func walk(_ items: Int, _ body: (Int, UnsafeMutablePointer<cpu_walker>) -> Void) throws -> Walked {
    let pool = Engine.shared.pool
    let walkers = shelf.borrow(pool.threads)
    defer { shelf.giveBack(walkers) }
    let threads = pool.forEach(items) { item, worker in body(item, walkers.start + worker) }
    return Walked(threads: threads, computed: try walkers.finish())
  }

  /// Puts rows and links, which walks read here and there, where that is quick: when there are many more of them.
  private func settle() {
    guard count > 2 * settled else { return }
    settled = count
    ground.settle(count * width)
    rows.settle()
  }

  /// Room for `more` nodes of such levels, without links. Nothing has changed if it throws.
  private func reserve(_ more: Int, _ newLevels: UnsafePointer<UInt8>) throws {
    guard count + more < 1 << 31 else { throw Failure.value("a graph of more than 2^31 - 1 nodes is too large") }
    let above = (0..<more).reduce(0) { $0 + Int(newLevels[$1]) }
    guard usedBlocks + above < Int(UInt32.max) else { throw Failure.value("the graph has too many levels") }
    try ground.grow((count + more) * width, used: count * width)
    try upper.grow((usedBlocks + above) * m, used: usedBlocks * m)
    try blocks.grow(count + more, used: count)
    try levels.grow(count + more, used: count)
  }

  /// Nodes without links over the next rows.
  private func appendNodes(_ more: Int, _ newLevels: UnsafePointer<UInt8>) {
    for i in 0..<more {
      blocks.start[count + i] = UInt32(usedBlocks)
      levels.start[count + i] = newLevels[i]
      usedBlocks += Int(newLevels[i])
    }
    (ground.start + count * width).update(repeating: CPU_NO_NODE, count: more * width)
    let above = (0..<more).reduce(0) { $0 + Int(newLevels[$1]) }
    (upper.start + (usedBlocks - above) * m).update(repeating: CPU_NO_NODE, count: above * m)
    count += more
  }

  /// Forgets the graph: all rows are nodes on the ground without links.
  func renew() throws {
    release()
    file = nil
    count = 0
    usedBlocks = 0
    entry = CPU_NO_NODE
    let levels = [UInt8](repeating: 0, count: rows.count)
    try reserve(rows.count, levels)
    appendNodes(rows.count, levels)
    settle()
  }

  /// Where walks start from now on.
  func enter(at node: UInt32) { entry = node }

  func add(_ x: UnsafeRawPointer, _ n: Int, _ newLevels: UnsafePointer<UInt8>, ef: Int) throws -> Walked {
    guard rows.count == count else { throw Failure.value("rows are waiting for their graph") }
    try own()
    try reserve(n, newLevels)
    let first = count
    try rows.add(x, n, allowNaN: allowsNaN)
    appendNodes(n, newLevels)
    settle()
    return try insert((first..<first + n).map { UInt32($0) }, ef: ef)
  }

  /// Links nodes that have no links, nor are linked to. See cpu_hnsw.h for why in batches.
  private func insert(_ nodes: [UInt32], ef: Int) throws -> Walked {
    var done = Walked(threads: 1, computed: 0)
    for from in stride(from: 0, to: nodes.count, by: Int(CPU_HNSW_BATCH)) {
      let mates = Array(nodes[from..<min(from + Int(CPU_HNSW_BATCH), nodes.count)])
      done.add(try plan(mates, ef: ef))
      for node in mates where entry == CPU_NO_NODE || levels.start[Int(node)] > levels.start[Int(entry)] {
        entry = node
      }
    }
    return done
  }

  private func plan(_ mates: [UInt32], ef: Int) throws -> Walked {
    var starts = [Int](repeating: 0, count: mates.count + 1)
    for (i, node) in mates.enumerated() { starts[i + 1] = starts[i] + Int(levels.start[Int(node)]) + 1 }
    var links = [UInt32](repeating: CPU_NO_NODE, count: starts[mates.count] * m)
    let graph = self.graph
    let (efOfPlan, size) = (UInt32(min(ef, count)), m)
    var done = try links.withUnsafeMutableBufferPointer { links in
      try walk(mates.count) { at, walker in
        withUnsafePointer(to: graph) { graph in
          cpu_hnsw_plan(
            walker, graph, mates, UInt32(mates.count), UInt32(at), efOfPlan, links.baseAddress! + starts[at] * size)
        }
      }
    }
    // Links back, as (level, node that gets it, node that it leads to) in order.
    var back: [BackLink] = []
    back.reserveCapacity(links.count)
    for (at, node) in mates.enumerated() {
      for level in 0..<starts[at + 1] - starts[at] {
        let row = links[(starts[at] + level) * m..<(starts[at] + level + 1) * m]
        let to = withUnsafePointer(to: graph) { cpu_links($0, node, UInt32(level))! }
        for (i, other) in row.enumerated() {
          to[i] = other
          if other == CPU_NO_NODE { break }
          back.append(BackLink(high: UInt64(level) << 32 | UInt64(other), low: node))
        }
      }
    }
    back.sort()
    var groups: [Int] = []
    for i in back.indices where i == 0 || back[i].high != back[i - 1].high { groups.append(i) }
    let sources = back.map(\.low)
    done.add(
      try walk(groups.count) { at, walker in
        let (from, to) = (groups[at], at + 1 < groups.count ? groups[at + 1] : back.count)
        let key = back[from].high
        withUnsafePointer(to: graph) { graph in
          sources.withUnsafeBufferPointer {
            cpu_hnsw_join(
              walker, graph, UInt32(truncatingIfNeeded: key), UInt32(key >> 32), $0.baseAddress! + from,
              UInt32(to - from))
          }
        }
      })
    return done
  }

  /// Takes nodes out of the graph: whoever was linked to them gets other links.
  private func unlink(_ dead: [UInt64], _ gone: Int) throws -> Walked {
    let graph = self.graph
    let group = 256
    let done = try walk((count + group - 1) / group) { item, walker in
      withUnsafePointer(to: graph) { graph in
        for node in item * group..<min(count, (item + 1) * group) where !cpu_has_bit(dead, UInt64(node)) {
          cpu_hnsw_repair(walker, graph, UInt32(node), dead)
        }
      }
    }
    if entry != CPU_NO_NODE, cpu_has_bit(dead, UInt64(entry)) {
      entry = CPU_NO_NODE
      for node in 0..<count where !cpu_has_bit(dead, UInt64(node)) {
        if entry == CPU_NO_NODE || levels.start[node] > levels.start[Int(entry)] { entry = UInt32(node) }
      }
    }
    return done
  }

  func remove(_ selector: Selector) throws -> Int {
    try own()
    var dead = [UInt64](repeating: 0, count: (count + 63) / 64)
    let gone = selector.select(ids: nil, count: count, into: &dead)
    if gone == 0 { return 0 }
    if gone == count {
      clear()
      return gone
    }
    _ = try unlink(dead, gone)
    compact(dead)
    return try rows.remove(selector)
  }

  /// Moves nodes down over the dead ones, and renames them in all links.
  private func compact(_ dead: [UInt64]) {
    var names = [UInt32](repeating: CPU_NO_NODE, count: count)
    var kept = 0
    for node in 0..<count where !cpu_has_bit(dead, UInt64(node)) {
      names[node] = UInt32(kept)
      kept += 1
    }
    let graph = self.graph
    var block = 0
    for node in 0..<count where names[node] != CPU_NO_NODE {
      let to = Int(names[node])
      let above = Int(levels.start[node])
      func move(_ from: UnsafePointer<UInt32>, _ to: UnsafeMutablePointer<UInt32>, _ links: Int) {
        for i in 0..<links { to[i] = from[i] == CPU_NO_NODE ? CPU_NO_NODE : names[Int(from[i])] }
      }
      move(graph.ground + node * width, graph.ground + to * width, width)
      // Blocks lie in the order of their nodes.
      move(graph.upper + Int(blocks.start[node]) * m, graph.upper + block * m, above * m)
      blocks.start[to] = UInt32(block)
      levels.start[to] = UInt8(above)
      block += above
    }
    if entry != CPU_NO_NODE { entry = names[Int(entry)] }
    count = kept
    usedBlocks = block
  }

  /// Gives nodes other rows, and the links that go with them; their levels stay.
  func update(_ nodes: UnsafePointer<Int64>, _ n: Int, _ x: UnsafeRawPointer, ef: Int) throws -> Walked {
    try own()
    var dead = [UInt64](repeating: 0, count: (count + 63) / 64)
    for i in 0..<n {
      guard nodes[i] >= 0, nodes[i] < Int64(count) else { throw Failure.value("row \(nodes[i]) is not among \(count)") }
      let (word, bit) = (Int(nodes[i]) / 64, UInt64(1) << UInt64(nodes[i] % 64))
      guard dead[word] & bit == 0 else { throw Failure.value("row \(nodes[i]) is updated twice") }
      dead[word] |= bit
    }
    try rows.check(x, n, allowNaN: allowsNaN)
    var done = try unlink(dead, n)
    let changed = (0..<n).map { UInt32(nodes[$0]) }
    for (i, node) in changed.enumerated() {
      let row = Int(node)
      try rows.replace(row, x, i)
      (ground.start + row * width).update(repeating: CPU_NO_NODE, count: width)
      (upper.start + Int(blocks.start[row]) * m).update(repeating: CPU_NO_NODE, count: Int(levels.start[row]) * m)
    }
    done.add(try insert(changed, ef: ef))
    return done
  }

  func clear() {
    rows.clear()
    release()
    file = nil
    count = 0
    usedBlocks = 0
    entry = CPU_NO_NODE
  }

  /// Bytes of nodes and links as files have them: 2m on the ground, m on each level above, padded.
  var words: Int { file?.words ?? count * width + usedBlocks * m }

  func copyGraph(_ toLevels: UnsafeMutablePointer<UInt8>, _ links: UnsafeMutablePointer<Int32>) throws {
    if let file { return try file.copy(count, m: m, toLevels, links) }
    toLevels.update(from: levels.start, count: count)
    var at = links
    let graph = self.graph
    for node in 0..<count {
      for level in 0...UInt32(levels.start[node]) {
        let from = withUnsafePointer(to: graph) { cpu_links($0, UInt32(node), level)! }
        let most = level == 0 ? width : m
        for i in 0..<most { at[i] = Int32(bitPattern: from[i]) }
        at += most
      }
    }
  }

  /// Takes over a graph for the rows that lie ready. What its links may not be was checked by no one yet.
  func restore(_ newLevels: UnsafePointer<UInt8>, _ links: UnsafePointer<Int32>, words: Int, entry start: Int) throws {
    let n = rows.count
    guard count == 0 else { throw Failure.value("there is a graph already") }
    let above = (0..<n).reduce(0) { $0 + Int(newLevels[$1]) }
    guard words == n * width + above * m else { throw Failure.shape("\(words) links do not fit \(n) nodes") }
    guard start < n, (start >= 0) == (n > 0) else { throw Failure.value("the entry \(start) is not among \(n)") }
    for node in 0..<n where newLevels[node] > newLevels[start] {
      throw Failure.value("node \(node) is above the entry")
    }
    var at = links
    for node in 0..<n {
      for level in 0...newLevels[node] {
        let most = level == 0 ? width : m
        for i in 0..<most where at[i] != -1 {
          guard at[i] >= 0, Int(at[i]) < n, newLevels[Int(at[i])] >= level else {
            throw Failure.value("node \(node) has a link to \(at[i]) on level \(level)")
          }
        }
        at += most
      }
    }
    try reserve(n, newLevels)
    appendNodes(n, newLevels)
    at = links
    let graph = self.graph
    for node in 0..<n {
      for level in 0...UInt32(newLevels[node]) {
        let to = withUnsafePointer(to: graph) { cpu_links($0, UInt32(node), level)! }
        let most = level == 0 ? width : m
        var used = 0
        while used < most, at[used] != -1 {
          to[used] = UInt32(at[used])
          used += 1
        }
        at += most
      }
    }
    entry = n > 0 ? UInt32(start) : CPU_NO_NODE
    settle()
  }
}

/// A link back: sorts by level and node, then by whom it leads to.
private struct BackLink: Comparable {
  let high: UInt64
  let low: UInt32
  static func < (a: BackLink, b: BackLink) -> Bool { a.high != b.high ? a.high < b.high : a.low < b.low }
}

/// What walks took.
struct Walked {
  var threads: Int
  var computed: Double
  mutating func add(_ other: Walked) {
    threads = max(threads, other.threads)
    computed += other.computed
  }
}

/// Memory of walks, one a thread.
final class Walkers {
  let start: UnsafeMutablePointer<cpu_walker>
  let count: Int

  init(_ count: Int) {
    self.count = count
    start = .allocate(capacity: count)
    start.initialize(repeating: cpu_walker(), count: count)
  }

  deinit {
    for i in 0..<count { cpu_walker_free(start + i) }
    start.deallocate()
  }

  /// Pairs that were computed since the last time.
  func finish() throws -> Double {
    var computed = 0.0
    var (failed, lost) = (false, false)
    for i in 0..<count {
      computed += Double(start[i].computed)
      failed = failed || start[i].failed
      lost = lost || start[i].lost
      start[i].computed = 0
      (start[i].failed, start[i].lost) = (false, false)
    }
    if lost { throw Failure(status: MF_FILE, message: "the file is damaged: links lead out of the graph") }
    if failed { throw Failure.memory(count << 20) }
    return computed
  }
}

/// Walkers of the last calls, for the next.
final class WalkerShelf: @unchecked Sendable {
  private let lock = Mutex()
  private var shelf: [Walkers] = []

  func borrow(_ threads: Int) -> Walkers {
    lock.acquire()
    defer { lock.release() }
    if let walkers = shelf.popLast(), walkers.count >= threads { return walkers }
    return Walkers(threads)
  }

  func giveBack(_ walkers: Walkers) {
    lock.acquire()
    defer { lock.release() }
    if shelf.count < 2 { shelf.append(walkers) }
  }
}
