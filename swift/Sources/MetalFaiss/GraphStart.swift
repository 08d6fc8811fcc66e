import CMetalFaiss
import CPUKernels

/// Where walks through a graph start. Nodes that faiss draws are drawn here too, so that the same graph gives the
/// same results.
enum GraphStart {
  case entry
  case links
  case random(seed: UInt32)

  init(_ raw: UInt32, seed: UInt32) throws {
    switch raw {
    case MF_HNSW_ENTRY.rawValue: self = .entry
    case MF_HNSW_NSG.rawValue: self = .links
    case MF_HNSW_RANDOM.rawValue: self = .random(seed: seed)
    default: throw Failure.value("there is no start \(raw)")
    }
  }

  /// The seed of faiss's NSG searches.
  private static let seedOfLinks: UInt32 = 0x1234

  /// Nodes for a list of `ef` below the number of nodes; nil: those that greedy walks find.
  func nodes(_ graph: cpu_graph, _ ef: Int) -> [UInt32]? {
    let count = graph.count
    guard graph.entry != CPU_NO_NODE, ef < Int(count) else { return nil }
    var nodes: [UInt32] = []
    nodes.reserveCapacity(ef)
    switch self {
    case .entry: return nil
    case .links:
      var random = MersenneTwister(seed: Self.seedOfLinks)
      var taken = Set<UInt32>()
      let links = withUnsafePointer(to: graph) { cpu_links($0, graph.entry, 0)! }
      for i in 0..<Int(graph.width) where nodes.count < ef && links[i] != CPU_NO_NODE {
        if taken.insert(links[i]).inserted { nodes.append(links[i]) }
      }
      while nodes.count < ef {
        let node = random.next() % count
        if taken.insert(node).inserted { nodes.append(node) }
      }
    case .random(let seed):
      // Distinct numbers below count - ef, moved apart and then all along.
      var random = MersenneTwister(seed: seed)
      for _ in 0..<ef { nodes.append(random.next() % (count - UInt32(ef))) }
      nodes.sort()
      for i in 1..<max(1, ef) where nodes[i] <= nodes[i - 1] { nodes[i] = nodes[i - 1] + 1 }
      let offset = random.next() % count
      for i in 0..<ef { nodes[i] = UInt32((UInt64(nodes[i]) + UInt64(offset)) % UInt64(count)) }
    }
    return nodes
  }
}

/// The Mersenne Twister of 32 bits (Matsumoto and Nishimura, 1998), as C++'s std::mt19937.
struct MersenneTwister {
  private var state: [UInt32]
  private var at = 624

  init(seed: UInt32) {
    state = [seed]
    state.reserveCapacity(624)
    for i in 1..<624 {
      let before = state[i - 1] ^ state[i - 1] >> 30
      state.append(before &* 1_812_433_253 &+ UInt32(i))
    }
  }

  mutating func next() -> UInt32 {
    if at == 624 { twist() }
    var bits = state[at]
    at += 1
    bits ^= bits >> 11
    bits ^= bits << 7 & 0x9d2c_5680
    bits ^= bits << 15 & 0xefc6_0000
    return bits ^ bits >> 18
  }

  private mutating func twist() {
    for i in 0..<624 {
      let mixed = state[i] & 0x8000_0000 | state[(i + 1) % 624] & 0x7fff_ffff
      state[i] = state[(i + 397) % 624] ^ mixed >> 1 ^ (mixed & 1 == 0 ? 0 : 0x9908_b0df)
    }
    at = 0
  }
}

extension Optional {
  /// The elements of an array that may not be there, as C takes them.
  func withPointer<Element, Result>(_ body: (UnsafePointer<Element>?) throws -> Result) rethrows -> Result
  where Wrapped == [Element] {
    guard let self else { return try body(nil) }
    return try self.withUnsafeBufferPointer { try body($0.baseAddress) }
  }
}
