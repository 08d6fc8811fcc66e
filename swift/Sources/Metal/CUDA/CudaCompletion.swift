import Glibc
import Threading

/// What a queue's stream needs until its last batch is done, even when the queue has gone: the stream, its
/// events, and the thread that waits for ends in order.
final class CudaCompletion: @unchecked Sendable {
  /// A submitted batch.
  final class Entry: @unchecked Sendable {
    var batch: CommandBatch?
    var start: OpaquePointer?
    var end: OpaquePointer?
    var arena: Arena?
    var error: EngineError?
    /// The caller has been told that it was scheduled.
    var announced = false

    init(_ batch: CommandBatch) { self.batch = batch }

    /// The first error counts, but a lost device above all.
    func fail(_ why: any Error) {
      let found: EngineError =
        switch why {
        case let why as EngineError: why
        case let why as CompileFailure: .invalid(why.log)
        default: .failed("\(why)")
        }
      if case .deviceLost = found { error = found } else { error = error ?? found }
    }

    var kernels: [String] {
      batch?.commands.compactMap { if case .dispatch(let dispatch) = $0 { dispatch.label } else { nil } } ?? []
    }
  }

  /// Room for the bytes that kernels read through pointers: written on the host, copied once a batch.
  struct Arena {
    var host: CudaMemory.Block
    var device: CudaMemory.Block
    var bytes: Int
  }

  let stream: OpaquePointer
  private let context: CudaContext
  private let memory: CudaMemory
  private let lock = Mutex()
  private let changed = Condition()
  private var pending: [Entry] = []
  private var closed = false
  /// Recordings that keep graphs for this queue, which go with it.
  private var recordings: [Recording] = []
  private var mostRecordings = 64

  private struct Recording {
    weak var commands: RecordedCommands?
    let queue: UInt64
  }
  private var events: [OpaquePointer] = []
  private var arenas: [Arena] = []
  private var products: (library: CuBLAS, handle: CuBLAS.Handle, room: CudaMemory.Block)?
  private let clock: CudaClock

  init(_ context: CudaContext, _ memory: CudaMemory) throws {
    self.context = context
    self.memory = memory
    try context.enter()
    var made: OpaquePointer?
    try context.check(context.driver.cuStreamCreate(&made, CU.streamNonBlocking), "make a queue")
    stream = made!
    clock = try context.clock(stream)
    let started = startThread { [self] in run() }
    guard started else { throw EngineError.failed("Cannot make a queue: no thread could be started") }
  }

  /// The thread ends after the last batch.
  func close() {
    lock.acquire()
    closed = true
    changed.wakeAll()
    lock.release()
  }

  func append(_ entry: Entry) {
    lock.acquire()
    pending.append(entry)
    lock.release()
  }

  func announce(_ entry: Entry) {
    lock.acquire()
    entry.announced = true
    changed.wakeAll()
    lock.release()
  }

  func remember(_ commands: RecordedCommands, _ queue: UInt64) {
    lock.acquire()
    defer { lock.release() }
    if recordings.count >= mostRecordings {
      recordings.removeAll { $0.commands == nil }
      mostRecordings = max(64, recordings.count * 2)
    }
    recordings.append(Recording(commands: commands, queue: queue))
  }

  func runningKernels() -> [String] {
    lock.acquire()
    defer { lock.release() }
    return pending.flatMap(\.kernels)
  }

  func takeEvent() throws -> OpaquePointer {
    lock.acquire()
    defer { lock.release() }
    if let event = events.popLast() { return event }
    var event: OpaquePointer?
    try context.check(context.driver.cuEventCreate(&event, CU.eventBlockingSync), "make an event")
    return event!
  }

  func takeArena(_ bytes: Int) throws -> Arena {
    lock.acquire()
    let found = arenas.firstIndex { $0.bytes >= bytes }.map { arenas.remove(at: $0) }
    lock.release()
    if let found { return found }
    let room = max(64 << 10, bytes)
    let host = try memory.allocate(room, .host)
    do { return Arena(host: host, device: try memory.allocate(room, .device), bytes: room) } catch {
      memory.release(host)
      throw error
    }
  }

  func giveArena(_ arena: Arena) {
    lock.acquire()
    arenas.append(arena)
    lock.release()
  }

  /// Starts cuBLAS, the first time. Under the queue's lock, as multiply.
  func prepareProducts() throws {
    guard products == nil else { return }
    let library = try CudaLibraries.shared.cublas()
    try context.enter()
    let room = try memory.allocate(CuBLAS.workspaceBytes, .device)
    do {
      let handle = try library.makeHandle(stream: stream, workspace: room.address, CuBLAS.workspaceBytes)
      products = (library, handle, room)
    } catch {
      memory.release(room)
      throw error
    }
  }

  func multiply(_ job: EngineMultiply) throws {
    if let products { try products.library.encode(job, products.handle) }
  }

  private func run() {
    _ = try? context.enter()
    while let entry = next() { finish(entry) }
    for recording in recordings { recording.commands?.forget(recording.queue) }
    recordings = []
    let driver = context.driver
    for arena in arenas { release(arena) }
    guard (try? context.enter()) != nil else { return }
    if let products {
      products.library.destroyHandle(products.handle)
      memory.release(products.room)
    }
    for event in events { _ = driver.cuEventDestroy(event) }
    _ = driver.cuStreamDestroy(stream)
  }

  private func next() -> Entry? {
    lock.acquire()
    defer { lock.release() }
    while true {
      if let first = pending.first, first.announced { return first }
      if closed, pending.isEmpty { return nil }
      changed.wait(lock)
    }
  }

  private func finish(_ entry: Entry) {
    let now = CudaClock.now()
    var times = (start: now, end: now, free: entry.start)
    if let loss = context.loss(kernels: entry.end == nil ? [] : entry.kernels) {
      entry.fail(loss)
    } else if let end = entry.end {
      let code = wait(end)
      if code == 0 {
        times = clock.place(entry.start, end)
      } else if code == CU.deinitialized {
        // The process ends, and the driver went first: nobody waits for an answer.
        while true { pause() }
      } else {
        entry.fail(context.lose(code, kernels: entry.kernels))
      }
    }
    if entry.error != nil { raiseEvents(entry) }
    lock.acquire()
    pending.removeFirst()
    if let end = entry.end { events.append(end) }
    if let free = times.free { events.append(free) }
    if let arena = entry.arena { arenas.append(arena) }
    lock.release()
    let finished = entry.batch?.finished
    let result = BatchResult(gpuStart: times.start, gpuEnd: times.end, error: entry.error)
    entry.batch = nil
    memory.batchEnds()
    finished?(result)
  }

  /// Looks for a while before it sleeps: waking up takes longer than many batches.
  private func wait(_ event: OpaquePointer) -> Int32 {
    let limit = CudaClock.now() + 100e-6
    repeat {
      let code = context.driver.cuEventQuery(event)
      if code != CU.notReady { return code }
      sched_yield()
    } while CudaClock.now() < limit
    return context.driver.cuEventSynchronize(event)
  }

  /// Nobody waits for ever for what the batch did not come to.
  private func raiseEvents(_ entry: Entry) {
    for command in entry.batch?.commands ?? [] {
      if case .signal(let event, let value) = command, let event = event as? CudaEvent { event.raise(to: value) }
    }
  }

  private func release(_ arena: Arena) {
    memory.release(arena.host)
    memory.release(arena.device)
  }
}

/// A thread of its own that nobody joins.
private func startThread(_ body: @escaping @Sendable () -> Void) -> Bool {
  final class Start {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  let start = Unmanaged.passRetained(Start(body))
  var thread = pthread_t()
  let code = pthread_create(
    &thread, nil,
    { argument in
      Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue().body()
      return nil
    }, start.toOpaque())
  if code != 0 {
    start.release()
    return false
  }
  pthread_detach(thread)
  return true
}
