import CMetalFaiss
import Metal

extension Failure {
  static func device(_ message: String) -> Failure { Failure(status: MF_DEVICE, message: message) }
}

/// A Metal device with what is shared by all that use it.
final class GPUDevice: @unchecked Sendable {
  let raw: any MTLDevice
  let engine: String
  let pool: BufferPool
  /// Made by the first transfer.
  private var transferQueue: (any MTLCommandQueue)?
  private let lock = Mutex()

  private init(_ raw: any MTLDevice) {
    self.raw = raw
    engine = engineName(raw)
    pool = BufferPool(raw, exact: engine == "emulator")
  }

  /// One a device, however often it is opened: they share the pool.
  nonisolated(unsafe) private static var known: [GPUDevice] = []
  private static let knownLock = Mutex()

  static func shared(_ raw: any MTLDevice) -> GPUDevice {
    knownLock.acquire()
    defer { knownLock.release() }
    if let found = known.first(where: { $0.raw.registryID == raw.registryID }) { return found }
    let device = GPUDevice(raw)
    known.append(device)
    return device
  }

  /// By the name of the engine, perhaps with a number: `cuda:1`. Empty: the system's default.
  static func open(_ wanted: String) throws -> GPUDevice {
    if wanted.isEmpty {
      guard let raw = MTLCreateSystemDefaultDevice() else { throw missing("no GPU was found") }
      return shared(raw)
    }
    let parts = wanted.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let position = parts.count == 1 ? 0 : Int(parts[1]) ?? -1
    guard ["metal", "cuda", "emulator"].contains(parts[0]), position >= 0 else {
      throw Failure.value("\"\(wanted)\" must be metal, cuda or emulator, perhaps with a number: cuda:1")
    }
    let found = MTLCopyAllDevices().filter { engineName($0) == parts[0] }
    guard position < found.count else {
      if found.isEmpty { throw missing("no \(parts[0]) device was found") }
      throw Failure.device("there are \(found.count) \(parts[0]) devices, from \(parts[0]):0")
    }
    return shared(found[position])
  }

  private static func missing(_ what: String) -> Failure {
    #if os(Linux)
      .device(
        "\(what); an NVIDIA GPU needs its driver (libcuda.so.1) and CUDA's libnvrtc: see ./run doctor. "
          + "METALFAISS_GPU=emulator runs kernels on the CPU")
    #else
      .device("\(what); Metal needs a Mac with a GPU")
    #endif
  }

  /// For transfers: their command buffers wait for nothing.
  func transfers() throws -> any MTLCommandQueue {
    lock.acquire()
    defer { lock.release() }
    if let transferQueue { return transferQueue }
    guard let queue = raw.makeCommandQueue() else { throw Failure.device("\(raw.name) makes no command queue") }
    queue.label = "transfers"
    transferQueue = queue
    return queue
  }

  var json: String {
    let most = raw.maxThreadsPerThreadgroup
    return "{\"name\":\(raw.name.json),\"engine\":\(engine.json),\"registryId\":\"\(raw.registryID)\","
      + "\"unifiedMemory\":\(raw.hasUnifiedMemory),\"maxBufferBytes\":\(raw.maxBufferLength),"
      + "\"workingSetBytes\":\(raw.recommendedMaxWorkingSetSize),"
      + "\"maxThreadsPerThreadgroup\":[\(most.width),\(most.height),\(most.depth)],"
      + "\"maxThreadgroupMemory\":\(raw.maxThreadgroupMemoryLength)\(facts)}"
  }

  /// What only some engines tell.
  private var facts: String {
    #if os(Linux)
      let facts = metalDeviceFacts(raw)
      let all: [(name: String, value: String?)] = [
        ("driver", facts.driver?.json), ("cores", facts.cores.map { "\($0)" }),
        ("l2Bytes", facts.l2Bytes.map { "\($0)" }), ("clockMHz", facts.clockMHz.map { "\($0)" }),
      ]
      return all.map { name, value in value.map { ",\"\(name)\":\($0)" } ?? "" }.joined()
    #else
      return ""
    #endif
  }

  /// Of the libraries behind it.
  var versions: String {
    #if os(Linux)
      let all = metalDeviceVersions(raw)
      return "{" + all.map { "\($0.name.json):\($0.version.json)" }.joined(separator: ",") + "}"
    #else
      return "{}"
    #endif
  }
}

/// What runs a device's kernels.
private func engineName(_ device: any MTLDevice) -> String {
  #if os(Linux)
    metalEngineName(device)
  #else
    "metal"
  #endif
}

/// What an error of Metal says.
func text(of error: any Error) -> String { error.localizedDescription }

@_cdecl("mf_gpu_list")
public func gpuList(_ text: UnsafeMutablePointer<UInt32>, _ call: Call) -> Int32 {
  call.run("list GPUs") {
    try Text.give(MTLCopyAllDevices().map { GPUDevice.shared($0).json }.jsonArray, text)
  }
}

@_cdecl("mf_gpu_report")
public func gpuReport(_ text: UnsafeMutablePointer<UInt32>, _ call: Call) -> Int32 {
  call.run("report on GPUs") {
    #if os(Linux)
      try Text.give(metalEngineReport(), text)
    #else
      let devices = MTLCopyAllDevices().map { "{\"name\":\($0.name.json),\"engine\":\"metal\"}" }
      try Text.give(
        "{\"engine\":\(devices.isEmpty ? "null" : "\"metal\""),\"devices\":\(devices.jsonArray),\"searched\":[]}", text)
    #endif
  }
}

@_cdecl("mf_gpu_open")
public func gpuOpen(_ engine: UnsafePointer<UInt8>, _ out: UnsafeMutablePointer<UInt32>, _ call: Call) -> Int32 {
  call.run("open a GPU") {
    out.pointee = try HandleTable.shared.insert(try GPUDevice.open(String(cString: engine)))
  }
}

@_cdecl("mf_gpu_describe")
public func gpuDescribe(_ object: UInt32, _ text: UnsafeMutablePointer<UInt32>, _ call: Call) -> Int32 {
  call.run("describe") {
    let json =
      switch try HandleTable.shared.find(object, AnyObject.self) {
      case let device as GPUDevice: device.json
      case let library as GPULibrary: library.json
      case let pipeline as GPUPipeline: pipeline.json
      default: throw Failure(status: MF_HANDLE, message: "the object is no device, library or pipeline")
      }
    try Text.give(json, text)
  }
}

@_cdecl("mf_gpu_versions")
public func gpuVersions(_ device: UInt32, _ text: UnsafeMutablePointer<UInt32>, _ call: Call) -> Int32 {
  call.run("read versions") { try Text.give(try HandleTable.shared.find(device, GPUDevice.self).versions, text) }
}

@_cdecl("mf_gpu_memory")
public func gpuMemory(_ device: UInt32, _ action: UInt32, _ bytes: UnsafeMutablePointer<Double>, _ call: Call) -> Int32 {
  call.run("read memory counters") {
    let pool = try HandleTable.shared.find(device, GPUDevice.self).pool
    switch action {
    case 0: break
    case 1: pool.resetPeak()
    case 2: pool.clear()
    default: throw Failure.value("action must be 0 to 2, not \(action)")
    }
    let counters = pool.counters
    bytes[0] = Double(counters.active)
    bytes[1] = Double(counters.peak)
    bytes[2] = Double(counters.cached)
  }
}
