/// faiss's kinds of direct maps.
enum MapKind: UInt32 {
  case none, array, table
}

/// How inverted lists find rows by their ids, and change them where they are.
extension ListStore {
  /// Keeps the map from now on, or no longer.
  func keepMap(_ kind: MapKind) {
    keeps = kind
    if kind == .none { idMap = nil } else { remap() }
  }

  /// Makes the map anew where it is kept; without memory for it the next question tries again.
  func remap() {
    guard keeps != .none, idMap == nil else { return }
    idMap = try? makeMap()
  }

  private func makeMap() throws -> IdMap {
    let made = IdMap()
    for list in lists.indices {
      for i in 0..<lists[list].count { try made.insert(lists[list].ids.start[i], Int64(list) << 32 | Int64(i)) }
    }
    return made
  }

  /// After rows were added at the end of a list.
  func note(_ list: Int, from: Int) {
    guard let map = idMap else { return }
    guard keeps != .none else {
      self.idMap = nil
      return
    }
    do {
      for i in from..<lists[list].count { try map.insert(lists[list].ids.start[i], Int64(list) << 32 | Int64(i)) }
    } catch { self.idMap = nil }
  }

  private func currentMap() throws -> IdMap {
    idMapLock.acquire()
    defer { idMapLock.release() }
    if let idMap { return idMap }
    let made = try makeMap()
    idMap = made
    return made
  }

  func locate(_ ids: UnsafePointer<Int64>, _ n: Int, _ locations: UnsafeMutablePointer<Int64>) throws {
    let map = try currentMap()
    for i in 0..<n { locations[i] = map.find(ids[i]) }
  }

  /// Takes a row out; the last one of its list takes its place, as in faiss.
  private func takeOut(_ id: Int64, _ map: IdMap) throws {
    let location = map.find(id)
    let (list, offset) = (Int(location >> 32), Int(location & 0xffff_ffff))
    let last = lists[list].count - 1
    map.remove(id)
    if offset != last {
      let held = lists[list]
      move(held.rows.start, to: offset, from: last)
      held.ids.start[offset] = held.ids.start[last]
      try map.insert(held.ids.start[last], location)
    }
    lists[list].count = last
    publish(list)
  }

  private func add(_ id: Int64, _ row: UnsafePointer<Element>, _ list: Int, _ map: IdMap) throws {
    let count = lists[list].count
    put(lists[list].rows.start, count, row)
    lists[list].ids.start[count] = id
    lists[list].count = count + 1
    publish(list)
    try map.insert(id, Int64(list) << 32 | Int64(count))
  }

  /// Copies the lists of a file that hold ids, before they change.
  private func own(_ ids: [Int64], _ places: IdMap) throws {
    guard let map else { return }
    for id in ids {
      let location = places.find(id)
      if location >= 0 { try own(Int(location >> 32)) }
    }
    try map.check()
  }

  private var total: Int { lists.reduce(0) { $0 + $1.count } }

  /// Removes rows by their ids; nil where ids repeat, so that the map has not all of them.
  func removeByMap(_ ids: [Int64]) throws -> Int? {
    guard let map = try? currentMap(), map.count == total else { return nil }
    try own(ids, map)
    var removed = 0
    do {
      for id in ids where map.find(id) >= 0 {
        removed += 1
        try takeOut(id, map)
      }
    } catch { self.idMap = nil }
    return removed
  }

  /// Replaces rows, which may move to other lists. Nothing changes if an id is not there, or twice.
  func update(_ ids: UnsafePointer<Int64>, _ x: UnsafePointer<Element>, _ to: UnsafePointer<Int64>, _ n: Int) throws {
    try check(x, n)
    let map = try currentMap()
    guard map.count == total else { throw Failure.value("ids repeat in the lists") }
    var seen = Set<Int64>()
    seen.reserveCapacity(n)
    var arriving: [Int: Int] = [:]
    for i in 0..<n {
      guard to[i] >= 0, to[i] < Int64(lists.count) else {
        throw Failure.value("row \(i) goes to list \(to[i]) of \(lists.count)")
      }
      guard map.find(ids[i]) >= 0 else { throw Failure.value("id \(ids[i]) is not in the index") }
      guard seen.insert(ids[i]).inserted else { throw Failure.value("id \(ids[i]) is given twice") }
      arriving[Int(to[i]), default: 0] += 1
    }
    for (list, count) in arriving { try reserve(list, count) }
    try own(Array(UnsafeBufferPointer(start: ids, count: n)), map)
    do {
      // In faiss's order, so that its files have the same bytes.
      if keeps != .array { for i in 0..<n { try takeOut(ids[i], map) } }
      for i in 0..<n {
        if keeps == .array { try takeOut(ids[i], map) }
        try add(ids[i], x + i * width, Int(to[i]), map)
      }
    } catch {
      // Without memory a map is not what the lists are.
      idMap = nil
      throw error
    }
  }
}
