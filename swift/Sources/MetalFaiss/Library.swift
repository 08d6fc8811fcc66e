import CMetalFaiss
import CPUKernels

@_cdecl("mf_abi_version")
public func abiVersion() -> UInt32 { UInt32(MF_ABI_VERSION) }

@_cdecl("mf_library_describe")
public func libraryDescribe(_ json: UnsafeMutablePointer<UInt8>, _ capacity: UInt32, _ call: Call) -> Int32 {
  call.run("describe the library") {
    let engine = Engine.shared
    let names = Engine.tables().map { "\"\(String(cString: $0.pointee.name))\"" }.joined(separator: ",")
    let text =
      "{\"version\":\"0.1.0\",\"isa\":\"\(String(cString: engine.kernels.pointee.name))\",\"isas\":[\(names)],"
      + "\"threads\":\(engine.pool.threads),\"cores\":\(Engine.cores)}"
    let utf8 = Array(text.utf8) + [0]
    guard utf8.count <= Int(capacity) else { throw Failure.shape("the description takes \(utf8.count) bytes") }
    json.update(from: utf8, count: utf8.count)
  }
}

@_cdecl("mf_library_set_threads")
public func librarySetThreads(_ threads: UInt32, _ call: Call) -> Int32 {
  call.run("set threads") {
    guard threads >= 1, threads <= 1024 else { throw Failure.value("threads must be 1 to 1024, not \(threads)") }
    Engine.setThreads(Int(threads))
  }
}

@_cdecl("mf_library_set_isa")
public func librarySetISA(_ name: UnsafePointer<UInt8>, _ call: Call) -> Int32 {
  call.run("set the instruction set") {
    let name = String(cString: name)
    guard Engine.setTable(name) else { throw Failure.value("isa \"\(name)\" does not run here") }
  }
}

@_cdecl("mf_library_free")
public func libraryFree(_ object: UInt32, _ call: Call) -> Int32 {
  call.run("dispose") { try HandleTable.shared.remove(object) }
}

@_cdecl("mf_library_roofline")
public func libraryRoofline(_ kind: UInt32, _ result: UnsafeMutablePointer<Double>, _ call: Call) -> Int32 {
  call.run("measure") {
    let engine = Engine.shared
    let kernels = engine.kernels
    var best = 0.0
    switch kind {
    case 0:
      let rounds: UInt64 = 4_000_000
      for _ in 0..<6 {
        try call.throwIfCancelled()
        var flops = 0.0
        let seconds = timed {
          // One item a thread: every core runs at once.
          engine.pool.forEach(engine.pool.threads) { _, worker in
            let done = kernels.pointee.peak_fma(rounds)
            if worker == 0 { flops = done }
          }
        }
        best = max(best, flops * Double(engine.pool.threads) / seconds * 1e-9)
      }
    case 1:
      let bytes = 512 << 20
      let slice = 4 << 20
      var memory = Memory<Float>()
      try memory.reserve(bytes / 4, used: 0)
      defer { memory.release() }
      let start = memory.start
      memset(start, 0, bytes)
      for _ in 0..<6 {
        try call.throwIfCancelled()
        let seconds = timed {
          engine.pool.forEach(bytes / slice) { item, _ in
            let sum = kernels.pointee.read_all(start + item * slice / 4, UInt64(slice / 4))
            if sum != 0 { start.pointee = 0 }
          }
        }
        best = max(best, Double(bytes) / seconds * 1e-9)
      }
    default: throw Failure.value("kind must be 0 or 1, not \(kind)")
    }
    call.pointee.threads = UInt32(engine.pool.threads)
    result.pointee = best
  }
}

func timed(_ body: () -> Void) -> Double {
  var from = timespec()
  var to = timespec()
  clock_gettime(CLOCK_MONOTONIC, &from)
  body()
  clock_gettime(CLOCK_MONOTONIC, &to)
  return Double(to.tv_sec - from.tv_sec) + Double(to.tv_nsec - from.tv_nsec) * 1e-9
}
