import Glibc
import Threading

/// Allocations of one device. cuMemFree waits for the whole device, so what is let go while batches run is
/// kept, for reuse, until none runs; small blocks are kept longer.
final class CudaMemory: @unchecked Sendable {
  enum Kind: Hashable { case device, host }
  struct Key: Hashable {
    var kind: Kind
    var bytes: Int
  }
  struct Block: @unchecked Sendable {
    var key: Key
    var address: UInt
    var contents: UnsafeMutableRawPointer?
  }

  private let context: CudaContext
  private var driver: CudaDriver { context.driver }
  private let lock = Mutex()
  private var running = 0
  private var kept: [Key: [Block]] = [:]
  private var smallBytes = 0
  private var deferred: [() -> Void] = []
  private let clearing = Mutex()
  private var clearStream: OpaquePointer?

  private static let small = 1 << 20
  private static let smallLimit = 64 << 20

  init(_ context: CudaContext) { self.context = context }

  /// Zeroed, as Metal's buffers are.
  func allocate(_ length: Int, _ kind: Kind) throws -> Block {
    try context.enter()
    let key = Key(kind: kind, bytes: CudaMemory.rounded(length, kind))
    let block = try takeKept(key) ?? fresh(key, length)
    do { try clear(block, length) } catch {
      release(block)
      throw error
    }
    return block
  }

  func release(_ block: Block) {
    lock.acquire()
    kept[block.key, default: []].append(block)
    if block.key.bytes <= CudaMemory.small { smallBytes += block.key.bytes }
    finishIdle()
  }

  /// Runs when no batch does: now, or after the last one.
  func whenIdle(_ body: @escaping () -> Void) {
    lock.acquire()
    deferred.append(body)
    finishIdle()
  }

  func batchStarts() {
    lock.acquire()
    running += 1
    lock.release()
  }

  func batchEnds() {
    lock.acquire()
    running -= 1
    finishIdle()
  }

  /// Takes the lock over and lets it go.
  private func finishIdle() {
    guard running == 0 else { return lock.release() }
    var victims: [Block] = []
    for (key, blocks) in kept where key.bytes > CudaMemory.small || smallBytes > CudaMemory.smallLimit {
      victims += blocks
      if key.bytes <= CudaMemory.small { smallBytes -= key.bytes * blocks.count }
      kept[key] = nil
    }
    let actions = deferred
    deferred = []
    lock.release()
    if victims.isEmpty && actions.isEmpty { return }
    free(victims)
    for action in actions { action() }
  }

  private func takeKept(_ key: Key) -> Block? {
    lock.acquire()
    defer { lock.release() }
    guard let block = kept[key]?.popLast() else { return nil }
    if key.bytes <= CudaMemory.small { smallBytes -= key.bytes }
    return block
  }

  private func fresh(_ key: Key, _ length: Int) throws -> Block {
    if let block = try reserve(key) { return block }
    lock.acquire()
    let victims = kept.values.flatMap { $0 }
    kept = [:]
    smallBytes = 0
    lock.release()
    free(victims)
    if let block = try reserve(key) { return block }
    var (left, total) = (0, 0)
    _ = driver.cuMemGetInfo(&left, &total)
    throw EngineError.outOfMemory(
      key.kind == .device
        ? "Cannot allocate \(length) bytes: the device has \(left) of \(total) bytes free"
        : "Cannot allocate \(length) bytes of host memory that the device can reach")
  }

  /// nil: there is not enough.
  private func reserve(_ key: Key) throws -> Block? {
    var block = Block(key: key, address: 0, contents: nil)
    let code: Int32
    switch key.kind {
    case .device: code = driver.cuMemAlloc(&block.address, key.bytes)
    case .host: code = driver.cuMemHostAlloc(&block.contents, key.bytes, CU.hostPortableMapped)
    }
    if code == CU.outOfMemory { return nil }
    try context.check(code, "allocate \(key.bytes) bytes")
    if let contents = block.contents {
      try context.check(driver.cuMemHostGetDevicePointer(&block.address, contents, 0), "map \(key.bytes) bytes")
    }
    return block
  }

  private func clear(_ block: Block, _ length: Int) throws {
    if let contents = block.contents {
      memset(contents, 0, length)
      return
    }
    clearing.acquire()
    defer { clearing.release() }
    if clearStream == nil {
      try context.check(driver.cuStreamCreate(&clearStream, CU.streamNonBlocking), "make a stream")
    }
    guard let stream = clearStream else { return }
    try context.check(driver.cuMemsetD8Async(block.address, 0, length, stream), "clear \(length) bytes")
    try context.check(driver.cuStreamSynchronize(stream), "clear \(length) bytes")
  }

  /// A lost device's memory went with it.
  private func free(_ blocks: [Block]) {
    guard !blocks.isEmpty, (try? context.enter()) != nil else { return }
    for block in blocks {
      let code = block.contents.map { driver.cuMemFreeHost($0) } ?? driver.cuMemFree(block.address)
      if CudaDriver.isSticky(code) {
        _ = context.lose(code)
        return
      }
    }
  }

  /// Few sizes for small blocks, so that they are found again.
  private static func rounded(_ length: Int, _ kind: Kind) -> Int {
    let least = kind == .host ? 4096 : 512
    if length <= least { return least }
    if length <= small { return 1 << (Int.bitWidth - (length - 1).leadingZeroBitCount) }
    return (length + 4095) & ~4095
  }
}

/// Device memory, or host memory that the device reads over the bus.
final class CudaAllocation: Allocation, @unchecked Sendable {
  private let memory: CudaMemory
  private let block: CudaMemory.Block

  init(_ memory: CudaMemory, _ length: Int, _ kind: CudaMemory.Kind) throws {
    self.memory = memory
    block = try memory.allocate(length, kind)
    super.init(length: length, address: block.address, contents: block.contents)
  }

  deinit { memory.release(block) }
}

/// The caller's memory, pinned.
final class CudaWrappedAllocation: Allocation, @unchecked Sendable {
  private let context: CudaContext
  private let memory: CudaMemory
  private let release: @Sendable () -> Void

  /// nil where the driver cannot pin it.
  init?(
    _ context: CudaContext, _ memory: CudaMemory, _ start: UnsafeMutableRawPointer, _ length: Int,
    _ release: @escaping @Sendable () -> Void
  ) {
    let driver = context.driver
    guard driver.cuMemHostRegister(start, length, CU.hostPortableMapped) == 0 else { return nil }
    var address: UInt = 0
    guard driver.cuMemHostGetDevicePointer(&address, start, 0) == 0 else {
      _ = driver.cuMemHostUnregister(start)
      return nil
    }
    self.context = context
    self.memory = memory
    self.release = release
    super.init(length: length, address: address, contents: start)
  }

  deinit {
    let (context, release) = (context, release)
    nonisolated(unsafe) let start = contents!
    memory.whenIdle {
      if (try? context.enter()) != nil { _ = context.driver.cuMemHostUnregister(start) }
      release()
    }
  }
}
