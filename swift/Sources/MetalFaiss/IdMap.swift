/// Where ids are: by the ids themselves while those lie close together, else in a table of their hashes.
final class IdMap {
  /// Ids that are there.
  private(set) var count = 0
  /// Locations: of id i at i, or, of hashed ids, beside them; −1 is none.
  private var places = Memory<Int64>()
  /// Hashed ids, in as many slots as a power of two; there are none while places are by id.
  private var keys = Memory<Int64>()
  /// Places in use.
  private var slots = 0
  private var isHashed = false

  deinit {
    places.release()
    keys.release()
  }

  func find(_ id: Int64) -> Int64 {
    guard isHashed else { return id >= 0 && id < Int64(slots) ? places.start[Int(id)] : -1 }
    return slots == 0 ? -1 : places.start[slot(of: id)]
  }

  /// Sets where an id is.
  func insert(_ id: Int64, _ location: Int64) throws {
    if !isHashed {
      if id >= 0, id < Int64(max(slots, 2 * count + 1024)) {
        try widen(Int(id) + 1)
        if places.start[Int(id)] < 0 { count += 1 }
        places.start[Int(id)] = location
        return
      }
      try hash()
    }
    if 4 * (count + 1) > 3 * slots { try rehash(max(64, 2 * slots)) }
    let at = slot(of: id)
    if places.start[at] < 0 { count += 1 }
    keys.start[at] = id
    places.start[at] = location
  }

  /// Forgets an id; later ids of its chain move up.
  func remove(_ id: Int64) {
    guard find(id) >= 0 else { return }
    count -= 1
    guard isHashed else {
      places.start[Int(id)] = -1
      return
    }
    var hole = slot(of: id)
    var at = hole
    while true {
      at = (at + 1) & (slots - 1)
      if places.start[at] < 0 { break }
      let home = Self.hash(keys.start[at], slots)
      // Cyclically, home is not between the hole and here: this one may fill the hole.
      if (at - home) & (slots - 1) < (at - hole) & (slots - 1) { continue }
      keys.start[hole] = keys.start[at]
      places.start[hole] = places.start[at]
      hole = at
    }
    places.start[hole] = -1
  }

  private static func hash(_ id: Int64, _ slots: Int) -> Int {
    let mixed = UInt64(bitPattern: id) &* 0x9e37_79b9_7f4a_7c15
    return Int(truncatingIfNeeded: mixed >> 32 ^ mixed) & (slots - 1)
  }

  /// The slot of an id, or the free one where it belongs.
  private func slot(of id: Int64) -> Int {
    var at = Self.hash(id, slots)
    while places.start[at] >= 0, keys.start[at] != id { at = (at + 1) & (slots - 1) }
    return at
  }

  private func widen(_ wanted: Int) throws {
    guard wanted > slots else { return }
    try places.grow(wanted, used: slots)
    for i in slots..<wanted { places.start[i] = -1 }
    slots = wanted
  }

  /// From places by id to hashes.
  private func hash() throws {
    var (old, held) = (places, slots)
    (places, slots, isHashed) = (Memory(), 0, true)
    defer { old.release() }
    var size = 64
    while 3 * size < 4 * (count + 1) { size *= 2 }
    try rehash(size)
    while held > 0 {
      held -= 1
      if old.start[held] >= 0 { place(Int64(held), old.start[held]) }
    }
  }

  private func place(_ id: Int64, _ location: Int64) {
    let at = slot(of: id)
    keys.start[at] = id
    places.start[at] = location
  }

  /// Moves all ids to a table of another size.
  private func rehash(_ size: Int) throws {
    var (oldKeys, oldPlaces, held) = (keys, places, slots)
    (keys, places) = (Memory(), Memory())
    do {
      try keys.reserve(size, used: 0)
      try places.reserve(size, used: 0)
    } catch {
      keys.release()
      (keys, places) = (oldKeys, oldPlaces)
      throw error
    }
    places.start.update(repeating: -1, count: size)
    slots = size
    while held > 0 {
      held -= 1
      if oldPlaces.start[held] >= 0 { place(oldKeys.start[held], oldPlaces.start[held]) }
    }
    oldKeys.release()
    oldPlaces.release()
  }
}
