import CMetalFaiss
import CPUKernels

/// A candidate by what a search minimises.
private struct Candidate {
  let key: Double
  let row: Int64

  static func isBefore(_ a: Candidate, _ b: Candidate) -> Bool { a.key != b.key ? a.key < b.key : a.row < b.row }
}

/// The `k` nearest of each query's candidates, compared with the rows themselves.
private struct Rerank {
  let flat: Flat
  let request: Request
  /// Candidates a query.
  let offered: Int
  let queries: UnsafePointer<Float>
  let candidates: UnsafePointer<Int64>

  private static let ahead = 8

  /// Writes the results of one query; answers how many pairs were compared.
  func run(_ query: Int, _ distances: UnsafeMutablePointer<Float>, _ labels: UnsafeMutablePointer<Int64>) -> Int {
    let (d, k, sign) = (flat.d, request.k, request.isSimilarity ? -1.0 : 1.0)
    let pair = Engine.shared.kernels.pointee.pair!
    return withUnsafeTemporaryAllocation(of: Candidate.self, capacity: offered) { kept in
      var (count, compared) = (0, 0)
      for i in 0..<offered {
        // Rows are anywhere: memory is asked for some of them while others are compared.
        if i % Self.ahead == 0 {
          for next in i + (i == 0 ? 0 : Self.ahead)..<i + 2 * Self.ahead where next < offered {
            let row = candidates[query * offered + next]
            if row >= 0 { cpu_prefetch(flat.rows.start + Int(row) * d, min(d * 4, 1024)) }
          }
        }
        let row = candidates[query * offered + i]
        guard row >= 0 else { continue }
        compared += 1
        let distance = Float(
          pair(request.metric, Double(request.argument), queries + query * d, flat.rows.start + Int(row) * d, UInt32(d)))
        // A NaN has no place, nor what is past the largest float.
        guard distance.isFinite else { continue }
        kept.initializeElement(at: count, to: Candidate(key: sign * Double(distance), row: row))
        count += 1
      }
      var found = UnsafeMutableBufferPointer(rebasing: kept[0..<count])
      found.sort(by: Candidate.isBefore)
      for place in 0..<k {
        let at = query * k + place
        distances[at] = place < count ? Float(sign * found[place].key) : Float(sign) * .greatestFiniteMagnitude
        labels[at] = place < count ? found[place].row : -1
      }
      return compared
    }
  }
}

@_cdecl("mf_flat_rerank")
public func flatRerank(
  _ raw: UnsafePointer<mf_search>, _ queries: UnsafePointer<Float>?, _ candidates: UnsafePointer<Int64>?,
  _ distances: UnsafeMutablePointer<Float>?, _ labels: UnsafeMutablePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("refine") {
    let flat = try HandleTable.shared.find(raw.pointee.object, Flat.self)
    let request = try Request(raw, ranged: false)
    let offered = Int(raw.pointee.nprobe)
    guard request.nq > 0, let queries, let candidates, let distances, let labels else { return }
    try flat.reading {
      for i in 0..<request.nq * offered where candidates[i] >= Int64(flat.count) {
        throw Failure.value("candidate \(candidates[i]) is no position below \(flat.count)")
      }
      let rerank = Rerank(flat: flat, request: request, offered: offered, queries: queries, candidates: candidates)
      let engine = Engine.shared
      var compared = [Int](repeating: 0, count: engine.pool.threads)
      let threads = compared.withUnsafeMutableBufferPointer { compared in
        engine.pool.forEach(request.nq, parallel: request.nq * offered * flat.d > 50_000) { query, worker in
          compared[worker] += rerank.run(query, distances, labels)
        }
      }
      try call.throwIfCancelled()
      call.pointee.scanned = Double(compared.reduce(0, +))
      call.pointee.recomputed = call.pointee.scanned
      call.pointee.variants = MF_PAIRWISE_F64.rawValue
      call.pointee.threads = UInt32(threads)
    }
  }
}
