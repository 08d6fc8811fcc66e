import CMetalFaiss
import CPUKernels

/// A graph where it lies in a file. Searches check each link that they take; whoever needs all of it copies it.
final class HNSWFile {
  let map: FileMap
  let place = UnsafeMutablePointer<cpu_graph_file>.allocate(capacity: 1)

  init(_ map: FileMap, _ graph: cpu_graph_file) {
    self.map = map
    place.initialize(to: graph)
  }

  deinit { place.deallocate() }

  var words: Int { Int(place.pointee.words) }

  /// Copies the levels and links of n nodes, which have to lie one after the other.
  func copy(_ n: Int, m: Int, _ levels: UnsafeMutablePointer<UInt8>, _ links: UnsafeMutablePointer<Int32>) throws {
    var next = 0
    for node in 0..<n {
      let held = UnsafeRawPointer(place.pointee.levels).loadUnaligned(fromByteOffset: node * 4, as: Int32.self)
      let at = UnsafeRawPointer(place.pointee.offsets).loadUnaligned(fromByteOffset: node * 8, as: UInt64.self)
      guard held >= 1, held <= 64, at == UInt64(next) else {
        throw damaged("node \(node) is on \(held) levels, and its links are at \(at), not \(next)")
      }
      levels[node] = UInt8(held - 1)
      next += m * (Int(held) + 1)
    }
    guard next == words else { throw damaged("\(words) links where \(next) are needed") }
    UnsafeMutableRawPointer(links).copyMemory(from: place.pointee.links, byteCount: words * 4)
  }

  func damaged(_ message: String) -> Failure {
    Failure(status: MF_FILE, message: "the file is damaged: \(message)")
  }
}

extension HNSW {
  var map: FileMap? { file?.map ?? rows.map }

  /// Takes rows and their graph from a file, unseen, into a store that has none.
  func take(_ map: FileMap, _ place: UnsafePointer<Double>) throws {
    guard rows.count == 0 else { throw Failure.value("there are rows already") }
    guard case .entry = start, width == 2 * m else { throw Failure.value("the graph is of another kind") }
    let n = try MetalFaiss.count(place[0], "n", atLeast: 1)
    let words = try MetalFaiss.count(place[5], "words")
    let entry = try MetalFaiss.count(place[6], "the entry")
    let top = try MetalFaiss.count(place[7], "the highest level")
    guard n < 1 << 31, entry < n, top < 64 else {
      throw Failure.value("the entry \(entry) on level \(top) is not among \(n) nodes")
    }
    let levels = try map.elements(UInt8.self, at: place[1], count: n * 4, "bytes of levels")
    let offsets = try map.elements(UInt8.self, at: place[2], count: n * 8, "bytes of offsets")
    guard words < 1 << 60 else { throw Failure.value("\(words) links are too many") }
    let links = try map.elements(UInt8.self, at: place[3], count: words * 4, "bytes of links")
    try rows.take(map, at: place[4], n)
    file = HNSWFile(
      map,
      cpu_graph_file(levels: levels, offsets: offsets, links: links, words: UInt64(words), top: UInt32(top)))
    count = n
    self.entry = UInt32(entry)
  }

  /// Copies a graph that is in a file, before it changes: all of it is checked.
  func own() throws {
    guard let file else { return }
    let (n, start) = (count, Int(entry))
    var levels = [UInt8](repeating: 0, count: n)
    var links = [Int32](repeating: 0, count: file.words)
    try levels.withUnsafeMutableBufferPointer { levels in
      try links.withUnsafeMutableBufferPointer { links in
        // An array of nothing has no place.
        guard let links = links.baseAddress else { throw file.damaged("there are no links") }
        do {
          try file.copy(n, m: m, levels.baseAddress!, links)
        } catch {
          try file.map.check()
          throw error
        }
        try file.map.check()
        count = 0
        self.file = nil
        do {
          try restore(levels.baseAddress!, links, words: file.words, entry: start)
        } catch let failure as Failure where failure.status == MF_VALUE || failure.status == MF_SHAPE {
          (count, entry, self.file) = (n, UInt32(start), file)
          throw file.damaged(failure.message)
        } catch {
          (count, entry, self.file) = (n, UInt32(start), file)
          throw error
        }
      }
    }
  }
}

@_cdecl("mf_hnsw_map")
public func hnswMap(_ handle: UInt32, _ map: UInt32, _ place: UnsafePointer<Double>, _ call: Call) -> Int32 {
  call.run("map a graph") {
    let hnsw = try HandleTable.shared.find(handle, HNSW.self)
    let map = try HandleTable.shared.find(map, FileMap.self)
    try hnsw.lock.writing { try hnsw.take(map, place) }
  }
}
