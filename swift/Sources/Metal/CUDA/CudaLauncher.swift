/// Turns a dispatch into a launch, in arrays that are used again.
final class CudaLauncher {
  /// Where the batch's staged bytes lie on the device; launches use them up in the order they were staged.
  var arena: UInt = 0

  private var values = UnsafeMutableRawPointer.allocate(byteCount: 4096, alignment: 16)
  private var valueBytes = 4096
  /// One entry a parameter: 64 and the grid at most.
  private let pointers = UnsafeMutablePointer<UnsafeMutableRawPointer?>.allocate(capacity: 72)

  /// A CUlaunchConfig, and its one attribute.
  private let config = UnsafeMutablePointer<UInt>.allocate(capacity: 7 + 9)

  init() {
    config.initialize(repeating: 0, count: 7 + 9)
    // CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION: 1
    config[7] = 6
    config[8] = 1
    config[5] = UInt(bitPattern: config + 7)
    config[6] = 1
  }

  deinit {
    config.deallocate()
    values.deallocate()
    pointers.deallocate()
  }

  /// Bytes for a pointer parameter start on such a boundary.
  private static let stageStep = 32

  static func validate(_ dispatch: EngineDispatch, _ function: CudaFunction) throws {
    let (threads, group) = (dispatch.threads, dispatch.threadsPerThreadgroup)
    for (count, axis) in [(threads.width, "x"), (threads.height, "y"), (threads.depth, "z")] {
      guard count <= Int(UInt32.max) else {
        throw EngineError.invalid("Cannot run \(dispatch.label): \(count) threads in \(axis), at most 2³² - 1 work")
      }
    }
    let groups = Self.groups(dispatch)
    let (rows, over) = groups.width.multipliedReportingOverflow(by: groups.height * groups.depth)
    let isFlat = groups.height > mostRows || groups.depth > mostRows
    guard groups.width <= Int(Int32.max), !isFlat || (!over && rows <= Int(Int32.max)) else {
      throw EngineError.invalid(
        "Cannot run \(dispatch.label): \(groups.width) × \(groups.height) × \(groups.depth) threadgroups, CUDA runs fewer")
    }
    let size = group.width * group.height * group.depth
    guard size <= function.maxThreads else {
      throw EngineError.invalid(
        "Cannot run \(dispatch.label): \(size) threads a threadgroup, the kernel runs at most \(function.maxThreads)")
    }
    try function.allow(dynamicShared: dispatch.threadgroupBytes.reduce(0) { $0 + CudaFunction.aligned($1) })
  }

  static func stage(_ dispatch: EngineDispatch, _ function: CudaFunction, into staged: inout [UInt8]) {
    for slot in function.slots where slot.kind == .pointer {
      guard case .bytes(let bytes) = dispatch.arguments[slot.parameter] else { continue }
      staged += bytes
      let rest = staged.count % stageStep
      if rest != 0 { staged += repeatElement(0, count: stageStep - rest) }
    }
  }

  func launch(_ dispatch: EngineDispatch, _ function: CudaFunction, _ driver: CudaDriver, _ stream: OpaquePointer)
    -> Int32
  {
    if function.valueBytes > valueBytes { grow(function.valueBytes) }
    var at = 0
    var index = 0
    var shared = 0
    for slot in function.slots {
      let value = values + at
      pointers[index] = value
      index += 1
      at += 16
      switch slot.kind {
      case .pointer:
        switch dispatch.arguments[slot.parameter] {
        case .buffer(let memory, let offset): value.storeBytes(of: memory.address + UInt(offset), as: UInt.self)
        case .bytes(let bytes):
          value.storeBytes(of: arena, as: UInt.self)
          arena += UInt((bytes.count + Self.stageStep - 1) / Self.stageStep * Self.stageStep)
        case nil: value.storeBytes(of: 0, as: UInt.self)
        }
      case .inline:
        var given = 0
        if case .bytes(let bytes) = dispatch.arguments[slot.parameter] {
          given = min(bytes.count, slot.bytes)
          bytes.withUnsafeBytes { if given > 0 { value.copyMemory(from: $0.baseAddress!, byteCount: given) } }
        }
        if given < slot.bytes {
          (value + given).initializeMemory(as: UInt8.self, repeating: 0, count: slot.bytes - given)
        }
        at += CudaFunction.aligned(slot.bytes) - 16
      case .threadgroup:
        value.storeBytes(of: UInt32(truncatingIfNeeded: shared), as: UInt32.self)
        if !dispatch.threadgroupBytes.isEmpty { shared += CudaFunction.aligned(dispatch.threadgroupBytes[slot.parameter]) }
      }
    }
    let (threads, group) = (dispatch.threads, dispatch.threadsPerThreadgroup)
    // mtl_grid: threads in all, threads a threadgroup; threadgroups where they all go in x.
    let grid = values + at
    pointers[index] = grid
    var groups = Self.groups(dispatch)
    let isFlat = groups.height > Self.mostRows || groups.depth > Self.mostRows
    let all = isFlat ? groups : MTLSize(width: 0, height: 0, depth: 0)
    if isFlat { groups = MTLSize(width: groups.width * groups.height * groups.depth, height: 1, depth: 1) }
    let words = grid.assumingMemoryBound(to: UInt32.self)
    for (i, size) in [threads, group, all].enumerated() {
      words[i * 3] = UInt32(size.width)
      words[i * 3 + 1] = UInt32(size.height)
      words[i * 3 + 2] = UInt32(size.depth)
    }
    if function.waits, let launch = driver.cuLaunchKernelEx {
      config[0] = UInt(groups.width) | UInt(groups.height) << 32
      config[1] = UInt(groups.depth) | UInt(group.width) << 32
      config[2] = UInt(group.height) | UInt(group.depth) << 32
      config[3] = UInt(shared)
      config[4] = UInt(bitPattern: stream)
      return launch(config, function.handle, pointers, nil)
    }
    return driver.cuLaunchKernel(
      function.handle, UInt32(groups.width), UInt32(groups.height), UInt32(groups.depth),
      // Whole blocks even where the grid is smaller: the prelude tells threads outside by their index.
      UInt32(group.width), UInt32(group.height), UInt32(group.depth),
      UInt32(shared), stream, pointers, nil)
  }

  /// Most threadgroups in y, and in z.
  private static let mostRows = 65_535

  private static func groups(_ dispatch: EngineDispatch) -> MTLSize {
    let (threads, group) = (dispatch.threads, dispatch.threadsPerThreadgroup)
    return MTLSize(
      width: (threads.width + group.width - 1) / group.width, height: (threads.height + group.height - 1) / group.height,
      depth: (threads.depth + group.depth - 1) / group.depth)
  }

  private func grow(_ bytes: Int) {
    values.deallocate()
    values = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 16)
    valueBytes = bytes
  }
}
