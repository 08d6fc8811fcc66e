import Threading

public protocol MTLCommandQueue: AnyObject, Sendable {
  var label: String? { get set }
  var device: any MTLDevice { get }
  func makeCommandBuffer() -> (any MTLCommandBuffer)?
  func makeCommandBuffer(descriptor: MTLCommandBufferDescriptor) -> (any MTLCommandBuffer)?
  func makeCommandBufferWithUnretainedReferences() -> (any MTLCommandBuffer)?
  func insertDebugCaptureBoundary()
}

open class MTLCommandQueueDescriptor: @unchecked Sendable {
  public var maxCommandBufferCount = 64
  public init() {}
}

open class MTLCommandBufferDescriptor: @unchecked Sendable {
  public var retainedReferences = true
  public var errorOptions: MTLCommandBufferErrorOption = []
  public init() {}
}

/// Hands committed command buffers to the engine in the order in which they were enqueued.
final class QueueObject: MTLCommandQueue, @unchecked Sendable {
  let owner: DeviceObject
  /// Runs what a command buffer's end leads to on the host: one after the other, never on the engine's thread.
  private let callbacks: DispatchQueue
  private let engine: any EngineQueue
  private let lock = Mutex()
  private let freed = Condition()
  private let most: Int
  private var alive = 0
  /// In the order of their places; the first may have parts under way.
  private var waiting: [CommandBufferObject] = []
  private var pumping = false
  private var callbacksUnderWay = 0
  private var name: String?

  init(_ owner: DeviceObject, most: Int) throws {
    self.owner = owner
    self.most = most
    engine = try owner.engine.makeQueue(nil)
    callbacks = DispatchQueue(label: "metal.queue")
  }

  var device: any MTLDevice { owner }

  var label: String? {
    get { lock.holding { name } }
    set { lock.holding { name = newValue } }
  }

  func makeCommandBuffer() -> (any MTLCommandBuffer)? { makeCommandBuffer(descriptor: MTLCommandBufferDescriptor()) }

  func makeCommandBufferWithUnretainedReferences() -> (any MTLCommandBuffer)? {
    let descriptor = MTLCommandBufferDescriptor()
    descriptor.retainedReferences = false
    return makeCommandBuffer(descriptor: descriptor)
  }

  /// Waits until there is room for one more.
  func makeCommandBuffer(descriptor: MTLCommandBufferDescriptor) -> (any MTLCommandBuffer)? {
    takePlace()
    return CommandBufferObject(self, descriptor)
  }

  func makeCommandBuffer(replaying recording: MetalRecording) -> any MTLCommandBuffer {
    takePlace()
    return CommandBufferObject(self, recording)
  }

  private func takePlace() {
    lock.holding {
      while alive >= most { freed.wait(lock) }
      alive += 1
    }
  }

  /// A command buffer finished, or was given up.
  func freePlace() {
    lock.holding {
      alive -= 1
      freed.wakeAll()
    }
  }

  func insertDebugCaptureBoundary() {}

  // MARK: order

  func reserve(_ buffer: CommandBufferObject) {
    lock.holding { waiting.append(buffer) }
  }

  /// Submits from the front what is committed, by one thread at a time and without the lock: an engine may
  /// finish a batch before it returns. A command buffer that must read a size from memory between two of
  /// its parts stays at the front until its last part is submitted.
  func pump() {
    lock.acquire()
    defer { lock.release() }
    if pumping { return }
    pumping = true
    while let first = waiting.first, let batch = first.nextPart() {
      if !first.hasMoreParts { waiting.removeFirst() }
      lock.release()
      engine.submit(batch)
      lock.acquire()
    }
    pumping = false
  }

  // MARK: callbacks

  /// Runs it here where it calls nobody and nothing is before it, else on the callback thread.
  func callBack(callsOut: Bool, _ body: @escaping @Sendable () -> Void) {
    let now = lock.holding {
      if !callsOut && callbacksUnderWay == 0 { return true }
      callbacksUnderWay += 1
      return false
    }
    if now { return body() }
    callbacks.async {
      body()
      self.lock.holding { self.callbacksUnderWay -= 1 }
    }
  }
}
