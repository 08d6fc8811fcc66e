/// A growing array of plain values outside Swift's heap, on 64-byte lines. Growing a large
/// one moves pages, not bytes; what was never written takes no memory.
struct Memory<Element> {
  private(set) var start: UnsafeMutablePointer<Element>
  private(set) var capacity = 0
  private var raw: UnsafeMutableRawPointer?

  private static var line: Int { 64 }

  init() { start = UnsafeMutablePointer(bitPattern: 64)! }

  /// What others own and nobody writes: it is copied when it grows.
  init(borrowed: UnsafeMutablePointer<Element>) { start = borrowed }

  /// Makes what is borrowed its own, before it is written.
  mutating func own(_ used: Int) throws {
    if raw == nil { try reserve(used, used: used) }
  }

  /// Room for `wanted` elements, keeping the first `used`.
  mutating func reserve(_ wanted: Int, used: Int) throws {
    guard wanted > capacity else { return }
    let (bytes, overflow) = wanted.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    guard !overflow, bytes < Int.max / 2 else { throw Failure.memory(Int.max) }
    let oldOffset = raw.map { UnsafeMutableRawPointer(start) - $0 } ?? 0
    guard let moved = realloc(raw, bytes + Self.line) else { throw Failure.memory(bytes) }
    let offset = -Int(bitPattern: moved) & (Self.line - 1)
    if raw == nil {
      (moved + offset).copyMemory(from: start, byteCount: used * MemoryLayout<Element>.stride)
    } else if offset != oldOffset, used > 0 {
      memmove(moved + offset, moved + oldOffset, used * MemoryLayout<Element>.stride)
    }
    raw = moved
    start = (moved + offset).assumingMemoryBound(to: Element.self)
    capacity = wanted
    #if os(Linux)
      if bytes >= Self.large { adviseHugePages(moved, bytes, MADV_HUGEPAGE) }
    #endif
  }

  /// Room for more, by half again at least unless most of it is new.
  mutating func grow(_ wanted: Int, used: Int) throws {
    guard wanted > capacity else { return }
    try reserve(wanted - used > used / 8 ? wanted : max(wanted, capacity + capacity / 2), used: used)
  }

  mutating func release() {
    free(raw)
    self = Memory()
  }

  /// Bytes from which on pages are huge.
  private static var large: Int { 4 << 20 }

  /// Puts the first elements on huge pages at once. Those of an array that grew stay small otherwise: what is
  /// read here and there takes half as long again, for a page table is walked each time.
  func settle(_ used: Int) {
    #if os(Linux)
      let bytes = used * MemoryLayout<Element>.stride
      // Since Linux 6.1; before that nothing happens.
      if bytes >= Self.large, let raw { adviseHugePages(raw, bytes, 25 /* MADV_COLLAPSE */) }
    #endif
  }

  #if os(Linux)
    private func adviseHugePages(_ at: UnsafeMutableRawPointer, _ bytes: Int, _ advice: Int32) {
      let page = Int(sysconf(Int32(_SC_PAGESIZE)))
      let first = (Int(bitPattern: at) + page - 1) / page * page
      madvise(UnsafeMutableRawPointer(bitPattern: first), bytes - (first - Int(bitPattern: at)), advice)
    }
  #endif
}
