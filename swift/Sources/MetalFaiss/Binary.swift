import CMetalFaiss
import CPUKernels

/// Bytes of a code, which lies by itself.
private func bytes(of codec: Codec) throws -> Int {
  guard !codec.isInBlocks else { throw Failure.value("codes in blocks are not compared bit by bit") }
  return codec.codeSize
}

/// Runs a search that writes the nearest.
private func nearest(
  _ raw: UnsafePointer<mf_search>, _ bytes: Int, _ queries: UnsafePointer<UInt8>?,
  _ distances: UnsafeMutablePointer<Int32>?, _ labels: UnsafeMutablePointer<Int64>?, _ call: Call,
  _ body: (BinarySearch, BinarySearch.Target) throws -> Void
) throws {
  let request = try Request(raw, ranged: false)
  guard request.nq > 0, let queries, let distances, let labels else { return }
  try body(BinarySearch(request, bytes: bytes, queries: queries, call: call), .nearest(distances, labels))
}

/// Runs a search by radius.
private func within(
  _ raw: UnsafePointer<mf_search>, _ bytes: Int, _ queries: UnsafePointer<UInt8>?,
  _ lims: UnsafeMutablePointer<UInt64>, _ result: UnsafeMutablePointer<UInt32>, _ call: Call,
  _ body: (BinarySearch, BinarySearch.Target) throws -> Void
) throws {
  let request = try Request(raw, ranged: true)
  let found = RangeResult()
  lims[0] = 0
  if request.nq > 0, let queries {
    try body(BinarySearch(request, bytes: bytes, queries: queries, call: call), .within(found, lims))
  }
  result.pointee = try HandleTable.shared.insert(found)
}

@_cdecl("mf_binary_search")
public func binarySearch(
  _ raw: UnsafePointer<mf_search>, _ queries: UnsafePointer<UInt8>?, _ distances: UnsafeMutablePointer<Int32>?,
  _ labels: UnsafeMutablePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("search") {
    let store = try HandleTable.shared.find(raw.pointee.object, Codes.self)
    try store.reading {
      try nearest(raw, try bytes(of: store.codec), queries, distances, labels, call) {
        try $0.flat(store.bytes.start, store.count, $1)
      }
    }
  }
}

@_cdecl("mf_binary_range_search")
public func binaryRangeSearch(
  _ raw: UnsafePointer<mf_search>, _ queries: UnsafePointer<UInt8>?, _ lims: UnsafeMutablePointer<UInt64>,
  _ result: UnsafeMutablePointer<UInt32>, _ call: Call
) -> Int32 {
  call.run("search") {
    let store = try HandleTable.shared.find(raw.pointee.object, Codes.self)
    try store.reading {
      try within(raw, try bytes(of: store.codec), queries, lims, result, call) {
        try $0.flat(store.bytes.start, store.count, $1)
      }
    }
  }
}

@_cdecl("mf_binary_among")
public func binaryAmong(
  _ raw: UnsafePointer<mf_search>, _ queries: UnsafePointer<UInt8>?, _ candidates: UnsafePointer<UInt32>?,
  _ distances: UnsafeMutablePointer<Int32>?, _ labels: UnsafeMutablePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("search") {
    let store = try HandleTable.shared.find(raw.pointee.object, Codes.self)
    guard let candidates else { return }
    try store.reading {
      try nearest(raw, try bytes(of: store.codec), queries, distances, labels, call) {
        try $0.among(store.bytes.start, store.count, candidates, $1)
      }
    }
  }
}

@_cdecl("mf_binary_range_among")
public func binaryRangeAmong(
  _ raw: UnsafePointer<mf_search>, _ queries: UnsafePointer<UInt8>?, _ candidates: UnsafePointer<UInt32>?,
  _ lims: UnsafeMutablePointer<UInt64>, _ result: UnsafeMutablePointer<UInt32>, _ call: Call
) -> Int32 {
  call.run("search") {
    let store = try HandleTable.shared.find(raw.pointee.object, Codes.self)
    guard let candidates else { return }
    try store.reading {
      try within(raw, try bytes(of: store.codec), queries, lims, result, call) {
        try $0.among(store.bytes.start, store.count, candidates, $1)
      }
    }
  }
}

@_cdecl("mf_binary_lists_search")
public func binaryListsSearch(
  _ raw: UnsafePointer<mf_search>, _ queries: UnsafePointer<UInt8>?, _ probes: UnsafePointer<Int64>?,
  _ distances: UnsafeMutablePointer<Int32>?, _ labels: UnsafeMutablePointer<Int64>?, _ call: Call
) -> Int32 {
  call.run("search") {
    let store = try HandleTable.shared.find(raw.pointee.object, CodeLists.self)
    guard let probes else { return }
    try store.reading {
      try nearest(raw, try bytes(of: store.codec), queries, distances, labels, call) {
        try $0.lists(store, probes, Int(raw.pointee.nprobe), $1)
      }
    }
  }
}

@_cdecl("mf_binary_lists_range_search")
public func binaryListsRangeSearch(
  _ raw: UnsafePointer<mf_search>, _ queries: UnsafePointer<UInt8>?, _ probes: UnsafePointer<Int64>?,
  _ lims: UnsafeMutablePointer<UInt64>, _ result: UnsafeMutablePointer<UInt32>, _ call: Call
) -> Int32 {
  call.run("search") {
    let store = try HandleTable.shared.find(raw.pointee.object, CodeLists.self)
    guard let probes else { return }
    try store.reading {
      try within(raw, try bytes(of: store.codec), queries, lims, result, call) {
        try $0.lists(store, probes, Int(raw.pointee.nprobe), $1)
      }
    }
  }
}

@_cdecl("mf_lists_codes")
public func listsCodes(
  _ handle: UInt32, _ n: Double, _ locations: UnsafePointer<Int64>?, _ codes: UnsafeMutablePointer<UInt8>?, _ call: Call
) -> Int32 {
  call.run("get codes") {
    let store = try HandleTable.shared.find(handle, CodeLists.self)
    let n = try count(n, "n")
    guard n > 0, let locations, let codes else { return }
    try store.reading {
      for i in 0..<n {
        let (list, offset) = try store.place(locations[i])
        store.codec.get(store.lists[list].rows.start, offset, 1, codes + i * store.width)
      }
    }
  }
}
