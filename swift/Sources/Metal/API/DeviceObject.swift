import Threading

final class DeviceObject: MTLDevice, @unchecked Sendable {
  let engine: any Engine
  private let lock = Mutex()
  private var allocated = 0
  /// Compilations asked for with a completion handler.
  private let compilations = DispatchQueue(label: "metal.compile", attributes: .concurrent)

  init(_ engine: any Engine) { self.engine = engine }

  var name: String { engine.deviceName }
  var registryID: UInt64 { engine.registryID }
  var architecture: MTLArchitecture { MTLArchitecture(engine.name) }
  var location: MTLDeviceLocation { hasUnifiedMemory ? .builtIn : .slot }
  var locationNumber: Int { 0 }
  var isLowPower: Bool { false }
  var isHeadless: Bool { true }
  var isRemovable: Bool { false }
  var hasUnifiedMemory: Bool { engine.hasUnifiedMemory }
  var recommendedMaxWorkingSetSize: UInt64 { UInt64(engine.recommendedMaxWorkingSetSize) }
  var currentAllocatedSize: Int { lock.holding { allocated } }
  var maxTransferRate: UInt64 { 0 }
  var maxBufferLength: Int { engine.maxBufferLength }
  var maxThreadsPerThreadgroup: MTLSize { MTLSize(width: 1024, height: 1024, depth: 1024) }
  var maxThreadgroupMemoryLength: Int { Limits.threadgroupBytes }
  var argumentBuffersSupport: MTLArgumentBuffersTier { .tier1 }
  var supportsDynamicLibraries: Bool { false }
  var supportsFunctionPointers: Bool { false }
  var supportsRaytracing: Bool { false }

  /// The compute features of these families: simdgroup operations and matrices, 64-bit addresses, bfloat.
  func supportsFamily(_ gpuFamily: MTLGPUFamily) -> Bool {
    switch gpuFamily {
    case .common1, .common2, .common3, .metal3, .mac1, .mac2: true
    case .apple1, .apple2, .apple3, .apple4, .apple5, .apple6, .apple7, .apple8: true
    case .apple9, .apple10, .metal4, .macCatalyst1, .macCatalyst2: false
    }
  }

  func count(_ bytes: Int) { lock.holding { allocated += bytes } }

  /// Does it on another thread, beside others.
  func later<T>(_ body: @escaping @Sendable () throws -> T, then: @escaping @Sendable (T?, (any Error)?) -> Void) {
    compilations.async {
      do { then(try body(), nil) } catch { then(nil, error) }
    }
  }

  // MARK: queues, events

  func makeCommandQueue() -> (any MTLCommandQueue)? { makeCommandQueue(descriptor: MTLCommandQueueDescriptor()) }

  func makeCommandQueue(maxCommandBufferCount: Int) -> (any MTLCommandQueue)? {
    let descriptor = MTLCommandQueueDescriptor()
    descriptor.maxCommandBufferCount = maxCommandBufferCount
    return makeCommandQueue(descriptor: descriptor)
  }

  func makeCommandQueue(descriptor: MTLCommandQueueDescriptor) -> (any MTLCommandQueue)? {
    try? QueueObject(self, most: max(1, descriptor.maxCommandBufferCount))
  }

  func makeEvent() -> (any MTLEvent)? { try? EventObject(self) }
  func makeSharedEvent() -> (any MTLSharedEvent)? { try? SharedEventObject(self) }
  func makeFence() -> (any MTLFence)? { FenceObject(self) }

  // MARK: buffers

  func makeBuffer(length: Int, options: MTLResourceOptions) -> (any MTLBuffer)? {
    guard length > 0, length <= maxBufferLength, options.storageMode != .memoryless,
      let allocation = try? engine.allocate(length, options.storageMode)
    else { return nil }
    return BufferObject(self, allocation, length, options)
  }

  func makeBuffer(bytes pointer: UnsafeRawPointer, length: Int, options: MTLResourceOptions) -> (any MTLBuffer)? {
    guard options.storageMode != .private, let buffer = makeBuffer(length: length, options: options) else { return nil }
    buffer.contents().copyMemory(from: pointer, byteCount: length)
    return buffer
  }

  func makeBuffer(
    bytesNoCopy pointer: UnsafeMutableRawPointer, length: Int, options: MTLResourceOptions,
    deallocator: ((UnsafeMutableRawPointer, Int) -> Void)?
  ) -> (any MTLBuffer)? {
    guard length > 0, length <= maxBufferLength, options.storageMode != .private, options.storageMode != .memoryless
    else { return nil }
    let give = Deallocator(pointer, length, deallocator)
    guard let allocation = try? engine.wrap(pointer, length, release: { give.run() }) else { return nil }
    return BufferObject(self, allocation, length, options)
  }
}

/// The caller's way to free its memory, which may run on any thread.
private final class Deallocator: @unchecked Sendable {
  let pointer: UnsafeMutableRawPointer
  let length: Int
  let body: ((UnsafeMutableRawPointer, Int) -> Void)?

  init(_ pointer: UnsafeMutableRawPointer, _ length: Int, _ body: ((UnsafeMutableRawPointer, Int) -> Void)?) {
    self.pointer = pointer
    self.length = length
    self.body = body
  }

  func run() { body?(pointer, length) }
}
