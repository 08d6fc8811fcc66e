import CPUKernels

/// Threads that stay, and take the items of one loop at a time.
public final class Pool: @unchecked Sendable {
  public let threads: Int

  private let lock = Mutex()
  private let work = Condition()
  private let done = Condition()
  private let owner = Mutex()
  private let next = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
  private let generation = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
  /// Where the caller keeps it: a worker that held it would keep it from ending with its loop.
  private var body: UnsafePointer<(Int, Int) -> Void>?
  private var items = 0
  /// Core of the thread whose loop it is.
  private var core: Int32 = -1
  /// Workers at the loop. Changes under the lock.
  private let running = UnsafeMutablePointer<UInt64>.allocate(capacity: 1)
  private var took = 0
  private var stopping = false

  /// How long a thread looks before it sleeps, about half a millisecond: phases of one operation, and
  /// searches one after the other, follow each other faster than a wake-up.
  private static let spins = 20_000

  public init(threads: Int) {
    self.threads = max(1, threads)
    next.initialize(to: 0)
    generation.initialize(to: 0)
    running.initialize(to: 0)
    cpu_stay_loaded()
    for worker in 1..<max(2, self.threads) where worker < self.threads { start(worker) }
  }

  deinit {
    next.deallocate()
    generation.deallocate()
    running.deallocate()
  }

  /// Workers end after what they are at.
  public func stop() {
    lock.acquire()
    stopping = true
    cpu_atomic_store(generation, cpu_atomic_load(generation) + 1)
    work.wakeAll()
    lock.release()
  }

  /// Calls body(item, worker) for every item, and returns how many threads took part. A loop
  /// that starts while another one runs is run by its caller alone.
  @discardableResult
  public func forEach(_ count: Int, parallel: Bool = true, _ body: (Int, Int) -> Void) -> Int {
    guard parallel, threads > 1, count > 1, owner.tryAcquire() else {
      for item in 0..<count { body(item, 0) }
      return 1
    }
    defer { owner.release() }
    return withoutActuallyEscaping(body) { escaping in
      withUnsafePointer(to: escaping) { share($0, count) }
    }
  }

  private func share(_ body: UnsafePointer<(Int, Int) -> Void>, _ count: Int) -> Int {
    lock.acquire()
    self.body = body
    items = count
    core = cpu_core()
    took = 1
    cpu_atomic_store(next, 0)
    cpu_atomic_store(generation, cpu_atomic_load(generation) + 1)
    work.wakeAll()
    lock.release()
    take(body, count, 0)
    lock.acquire()
    self.body = nil  // late workers find nothing
    lock.release()
    spin { cpu_atomic_load(running) > 0 }
    lock.acquire()
    while cpu_atomic_load(running) > 0 { done.wait(lock) }
    let workers = took
    lock.release()
    return workers
  }

  /// How much of what is left the next item of a loop takes: much at first, as memory likes to be read,
  /// and little at the end, so that threads end together.
  public func share(of left: Int, least: Int, most: Int) -> Int { min(most, max(least, left / (2 * threads))) }

  /// A loop over rows in such items.
  public func shares(of count: Int, least: Int, most: Int) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var start = 0
    while start < count {
      let end = min(count, start + share(of: count - start, least: least, most: most))
      ranges.append(start..<end)
      start = end
    }
    return ranges
  }

  private func spin(_ wait: () -> Bool) {
    var left = Pool.spins
    while left > 0, wait() {
      cpu_pause()
      left -= 1
    }
  }

  private func take(_ body: UnsafePointer<(Int, Int) -> Void>, _ count: Int, _ worker: Int) {
    while true {
      let item = cpu_atomic_next(next)
      if item >= UInt64(count) { return }
      body.pointee(Int(item), worker)
    }
  }

  private func serve(_ worker: Int) {
    var seen: UInt64 = 0
    while true {
      spin { cpu_atomic_load(generation) == seen }
      lock.acquire()
      while cpu_atomic_load(generation) == seen { work.wait(lock) }
      seen = cpu_atomic_load(generation)
      if stopping {
        lock.release()
        return
      }
      guard let body, cpu_atomic_load(next) < UInt64(items) else {
        lock.release()
        continue
      }
      let count = items
      let core = core
      cpu_atomic_store(running, cpu_atomic_load(running) + 1)
      took += 1
      lock.release()
      cpu_leave_core(core)
      take(body, count, worker)
      lock.acquire()
      cpu_atomic_store(running, cpu_atomic_load(running) - 1)
      if cpu_atomic_load(running) == 0 { done.wakeAll() }
      lock.release()
    }
  }

  private final class Start {
    let pool: Pool
    let worker: Int
    init(_ pool: Pool, _ worker: Int) {
      self.pool = pool
      self.worker = worker
    }
  }

  private func start(_ worker: Int) {
    let argument = Unmanaged.passRetained(Start(self, worker)).toOpaque()
    #if canImport(Darwin)
      var thread: pthread_t?
    #else
      var thread = pthread_t()
    #endif
    let failed = pthread_create(&thread, nil, { Pool.main($0) }, argument)
    if failed != 0 {
      Unmanaged<Start>.fromOpaque(argument).release()
      return
    }
    #if canImport(Darwin)
      pthread_detach(thread!)
    #else
      pthread_detach(thread)
    #endif
  }

  private static func main(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
    start.pool.serve(start.worker)
    return nil
  }
}
