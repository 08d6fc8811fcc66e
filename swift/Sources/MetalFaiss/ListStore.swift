import CMetalFaiss
import CPUKernels

/// Inverted lists: rows of `width` elements with ids, by list. A location is list << 32 | offset.
class ListStore<Element>: Mappable {
  struct List {
    var rows = Memory<Element>()
    var ids = Memory<Int64>()
    var count = 0
  }

  let width: Int
  let lock = ReadWriteLock()
  var lists: [List]
  /// What scans see of the lists.
  private(set) var segments = Memory<cpu_segment>()
  private(set) var map: FileMap?
  /// Locations by id, made when first asked for; what moves rows forgets it, or keeps it right.
  var idMap: IdMap?
  let idMapLock = Mutex()
  /// Whether it is made anew at once, and lives through additions: faiss's kinds of direct maps, 0 is none.
  var keeps = MapKind.none

  init(width: Int, nlist: Int) throws {
    self.width = width
    lists = [List](repeating: List(), count: nlist)
    try segments.reserve(nlist, used: 0)
    for list in 0..<nlist { publish(list) }
  }

  deinit {
    for list in lists.indices {
      lists[list].rows.release()
      lists[list].ids.release()
    }
    segments.release()
  }

  func publish(_ list: Int) {
    let held = lists[list]
    segments.start[list] = cpu_segment(
      rows: UnsafeRawPointer(held.rows.start).assumingMemoryBound(to: Float.self), ids: held.ids.start,
      count: UInt64(held.count))
  }

  func reserve(_ list: Int, _ more: Int) throws {
    let count = lists[list].count
    guard count + more < 1 << 32 else { throw Failure.value("list \(list) would hold more than 2^32 rows") }
    try lists[list].rows.grow(stored(count + more), used: stored(count))
    try lists[list].ids.grow(count + more, used: count)
    publish(list)
  }

  /// Elements that rows of a list take.
  func stored(_ rows: Int) -> Int { rows * width }

  /// Writes a row to its place in a list.
  func put(_ rows: UnsafeMutablePointer<Element>, _ at: Int, _ row: UnsafePointer<Element>) {
    (rows + at * width).update(from: row, count: width)
  }

  /// Copies rows of another list to places in a list.
  func copy(_ rows: UnsafeMutablePointer<Element>, _ at: Int, from other: UnsafePointer<Element>, _ n: Int) {
    (rows + at * width).update(from: other, count: n * width)
  }

  /// Moves a row to another place of its list.
  func move(_ rows: UnsafeMutablePointer<Element>, to: Int, from: Int) {
    memmove(rows + to * width, rows + from * width, width * MemoryLayout<Element>.stride)
  }

  /// Throws if a row may not be added.
  func check(_ x: UnsafePointer<Element>, _ n: Int) throws {}

  func add(_ x: UnsafePointer<Element>, _ to: UnsafePointer<Int64>, _ ids: UnsafePointer<Int64>, _ n: Int) throws {
    let engine = Engine.shared
    var starts = [Int](repeating: 0, count: lists.count + 1)
    for i in 0..<n {
      let list = to[i]
      guard list >= -1, list < Int64(lists.count) else {
        throw Failure.value("row \(i) goes to list \(list) of \(lists.count)")
      }
      if list >= 0 { starts[Int(list) + 1] += 1 }
    }
    try check(x, n)
    // Room for all before anything is written: a refusal changes nothing.
    for list in lists.indices where starts[list + 1] > 0 { try reserve(list, starts[list + 1]) }
    try map?.check()
    for list in lists.indices { starts[list + 1] += starts[list] }
    var order = [UInt32](repeating: 0, count: starts[lists.count])
    var at = starts
    for i in 0..<n where to[i] >= 0 {
      order[at[Int(to[i])]] = UInt32(i)
      at[Int(to[i])] += 1
    }
    engine.pool.forEach(lists.count, parallel: n * width > 100_000) { list, _ in
      let count = lists[list].count
      for (slot, i) in order[starts[list]..<starts[list + 1]].enumerated() {
        put(lists[list].rows.start, count + slot, x + Int(i) * width)
        lists[list].ids.start[count + slot] = ids[Int(i)]
      }
    }
    for list in lists.indices where starts[list + 1] > starts[list] {
      let count = lists[list].count
      lists[list].count += starts[list + 1] - starts[list]
      publish(list)
      note(list, from: count)
    }
  }

  func append(_ other: ListStore, adding: Int64) throws {
    for list in lists.indices where other.lists[list].count > 0 { try reserve(list, other.lists[list].count) }
    try map?.check()
    for list in lists.indices where other.lists[list].count > 0 {
      let from = other.lists[list]
      let count = lists[list].count
      copy(lists[list].rows.start, count, from: from.rows.start, from.count)
      for i in 0..<from.count { lists[list].ids.start[count + i] = from.ids.start[i] &+ adding }
    }
    try other.map?.check()
    for list in lists.indices where other.lists[list].count > 0 {
      let count = lists[list].count
      lists[list].count += other.lists[list].count
      publish(list)
      note(list, from: count)
    }
    other.clear()
  }

  /// Takes lists from a file, unseen, into a store that has none. They are copied one by one when they change.
  func take(
    _ map: FileMap, _ sizes: UnsafePointer<Double>, _ rowsAt: UnsafePointer<Double>, _ idsAt: UnsafePointer<Double>
  ) throws {
    guard lists.allSatisfy({ $0.count == 0 }) else { throw Failure.value("there are rows already") }
    guard stored(1) == width else { throw Failure.value("codes in blocks are not mapped") }
    var taken = lists.map { _ in List() }
    for list in lists.indices where sizes[list] > 0 {
      let n = try count(sizes[list], "the size of list \(list)")
      let (numbers, overflow) = n.multipliedReportingOverflow(by: width)
      guard n < 1 << 32, !overflow else { throw Failure.value("list \(list) would hold more than 2^32 rows") }
      let rows = try map.elements(Element.self, at: rowsAt[list], count: numbers, "numbers of list \(list)")
      let ids = try map.elements(Int64.self, at: idsAt[list], count: n, "ids of list \(list)")
      taken[list] = List(rows: Memory(borrowed: rows), ids: Memory(borrowed: ids), count: n)
    }
    clear()
    lists = taken
    self.map = map
    for list in lists.indices { publish(list) }
  }

  /// Copies a list of a file, before it changes.
  func own(_ list: Int) throws {
    guard map != nil else { return }
    try lists[list].rows.own(stored(lists[list].count))
    try lists[list].ids.own(lists[list].count)
    publish(list)
  }

  /// Copies the lists of a file that hold selected ids, before they change.
  private func own(_ selector: Selector) throws {
    guard let map else { return }
    for list in lists.indices {
      let held = lists[list]
      if (0..<held.count).contains(where: { selector.contains(held.ids.start[$0]) }) { try own(list) }
    }
    try map.check()
  }

  func remove(_ selector: Selector) throws -> Int {
    if keeps != .none, let ids = selector.listed, let removed = try removeByMap(ids) { return removed }
    try own(selector)
    idMap = nil
    var removed = 0
    for list in lists.indices where lists[list].count > 0 {
      let held = lists[list]
      var kept = 0
      for i in 0..<held.count where !selector.contains(held.ids.start[i]) {
        if kept != i {
          move(held.rows.start, to: kept, from: i)
          held.ids.start[kept] = held.ids.start[i]
        }
        kept += 1
      }
      removed += held.count - kept
      lists[list].count = kept
      publish(list)
    }
    remap()
    return removed
  }

  func clear() {
    idMap = nil
    for list in lists.indices {
      lists[list].rows.release()
      lists[list].ids.release()
      lists[list].count = 0
      publish(list)
    }
    map = nil
    remap()
  }

  /// The list of a location, and its place there.
  func place(_ location: Int64) throws -> (list: Int, offset: Int) {
    let list = Int(location >> 32)
    let offset = Int(location & 0xffff_ffff)
    guard location >= 0, list < lists.count, offset < lists[list].count else {
      throw Failure.value("location \(location) holds no row")
    }
    return (list, offset)
  }

  func row(_ location: Int64) throws -> UnsafePointer<Element> {
    let (list, offset) = try place(location)
    return UnsafePointer(lists[list].rows.start + offset * width)
  }

  func id(_ location: Int64) throws -> Int64 {
    let (list, offset) = try place(location)
    return lists[list].ids.start[offset]
  }
}
