import Threading

/// Records commands, and follows them from commit to the end.
final class CommandBufferObject: MTLCommandBuffer, @unchecked Sendable {
  /// What is submitted at once. A new part begins where a size must be read from memory first.
  struct Part {
    var lead: IndirectDispatch?
    var commands: [EngineCommand] = []
  }

  let queue: QueueObject
  let retainedReferences: Bool
  let errorOptions: MTLCommandBufferErrorOption
  private let lock = Mutex()
  private let changed = Condition()

  // Encoding is the business of one thread.
  /// The encoder that has not ended.
  var openEncoder: String?
  var debugGroups: [String] = []

  // The rest changes under the lock.
  private var state = MTLCommandBufferStatus.notEnqueued
  private var parts = [Part()]
  /// What the first part begins with, where it is nothing else.
  private var recorded: RecordedCommands?
  private var problem: MTLCommandBufferError?
  private var name: String?
  private var nextPartIndex = 0
  private var partUnderWay = false
  private var wasCommitted = false
  private var wasScheduled = false
  /// Whether the completed handlers have returned.
  private var isDone = false
  private var scheduledHandlers: [MTLCommandBufferHandler] = []
  private var completedHandlers: [MTLCommandBufferHandler] = []
  private var kernelTimes = (start: 0.0, end: 0.0)
  private var gpuTimes = (start: 0.0, end: 0.0)

  init(_ queue: QueueObject, _ descriptor: MTLCommandBufferDescriptor) {
    self.queue = queue
    retainedReferences = descriptor.retainedReferences
    errorOptions = descriptor.errorOptions
  }

  /// One that replays.
  init(_ queue: QueueObject, _ recording: MetalRecording) {
    self.queue = queue
    retainedReferences = true
    errorOptions = []
    parts = [Part(commands: recording.recorded.commands)]
    recorded = recording.recorded
    name = recording.label
  }

  deinit { if !wasCommitted { queue.freePlace() } }

  var device: any MTLDevice { queue.owner }
  var commandQueue: any MTLCommandQueue { queue }
  var status: MTLCommandBufferStatus { lock.holding { state } }
  var error: (any Error)? { lock.holding { state == .error ? problem : nil } }
  var kernelStartTime: CFTimeInterval { lock.holding { kernelTimes.start } }
  var kernelEndTime: CFTimeInterval { lock.holding { kernelTimes.end } }
  var gpuStartTime: CFTimeInterval { lock.holding { isFinished ? gpuTimes.start : 0 } }
  var gpuEndTime: CFTimeInterval { lock.holding { isFinished ? gpuTimes.end : 0 } }
  private var isFinished: Bool { state == .completed || state == .error }
  var isCommitted: Bool { lock.holding { wasCommitted } }

  var label: String? {
    get { lock.holding { name } }
    set { lock.holding { name = newValue } }
  }

  /// The first thing that went wrong is what the error says. Where Apple's validation layer would end the
  /// process, nothing of the command buffer runs.
  func fail(_ code: MTLCommandBufferError.Code, _ message: String) {
    lock.holding {
      if problem == nil { problem = MTLCommandBufferError(code, message) }
      if isFinished { state = .error }
    }
  }

  /// For messages.
  var described: String { label.map { "command buffer \"\($0)\"" } ?? "a command buffer" }

  /// Changes what is recorded. An encoder that was not ended may be used after the commit: it comes too late.
  func encode(_ change: (inout [Part]) -> Void) {
    lock.holding {
      if wasCommitted { return }
      recorded = nil
      change(&parts)
    }
  }

  /// What was encoded, for a recording.
  func recordedCommands() throws(MTLCommandBufferError) -> [EngineCommand] {
    let taken = lock.holding { (parts, wasCommitted, problem) }
    if let problem = taken.2 { throw problem }
    if taken.1 { throw MTLCommandBufferError(.internal, "Cannot record \(described): it was committed before") }
    if let openEncoder {
      throw MTLCommandBufferError(.internal, "Cannot record \(described): \(openEncoder) was not ended")
    }
    guard taken.0.count == 1 else {
      throw MTLCommandBufferError(.internal, "Cannot record \(described): it reads sizes from memory")
    }
    return taken.0[0].commands
  }

  // MARK: commit

  func enqueue() {
    let isFirst = lock.holding {
      guard state == .notEnqueued else { return false }
      state = .enqueued
      return true
    }
    if isFirst { queue.reserve(self) }
  }

  func commit() {
    if isCommitted { return fail(.internal, "Cannot commit \(described): it was committed before") }
    if let openEncoder {
      fail(.internal, "Cannot commit \(described): \(openEncoder) was not ended; endEncoding() comes first")
    }
    enqueue()
    lock.holding {
      wasCommitted = true
      state = .committed
      kernelTimes.start = monotonicSeconds()
    }
    queue.pump()
  }

  // MARK: the queue's side

  var hasMoreParts: Bool { lock.holding { nextPartIndex < parts.count } }

  /// The next part to submit; nil while it has none or must wait for the part before.
  func nextPart() -> CommandBatch? {
    lock.holding {
      guard wasCommitted, !partUnderWay, nextPartIndex < parts.count else { return nil }
      var commands: [EngineCommand] = []
      if problem == nil, let lead = parts[nextPartIndex].lead {
        do throws(MTLCommandBufferError) { commands.append(.dispatch(try lead.resolve())) } catch { problem = error }
      }
      if problem == nil {
        let own = parts[nextPartIndex].commands
        // Replays come here each time: their commands are not copied.
        commands = commands.isEmpty ? own : commands + own
      } else {
        // Others may wait for what it was to signal.
        commands = parts[nextPartIndex...].flatMap(\.commands).filter { if case .signal = $0 { true } else { false } }
        nextPartIndex = parts.count - 1
      }
      if kernelTimes.end == 0 { kernelTimes.end = monotonicSeconds() }
      nextPartIndex += 1
      partUnderWay = true
      return CommandBatch(
        label: name, commands: commands, recorded: problem == nil ? recorded : nil,
        scheduled: { self.scheduledByEngine() }, finished: { self.partEnded($0) })
    }
  }

  private func partEnded(_ result: BatchResult) {
    let more = lock.holding {
      partUnderWay = false
      if gpuTimes.start == 0 { gpuTimes.start = result.gpuStart }
      gpuTimes.end = result.gpuEnd
      if problem == nil, let error = result.error { problem = MTLCommandBufferError(error) }
      return nextPartIndex < parts.count
    }
    if more { return queue.callBack(callsOut: true) { self.queue.pump() } }
    // Here, as handlers of others may wait for a place before its own can run.
    queue.freePlace()
    let scheduled = markScheduled()
    let callsOut = lock.holding { !scheduled.isEmpty || !completedHandlers.isEmpty }
    queue.callBack(callsOut: callsOut) { self.end(scheduled) }
  }

  private func end(_ scheduled: [MTLCommandBufferHandler]) {
    for handler in scheduled { handler(self) }
    // What it used goes without the lock: a buffer's deallocator is the program's.
    let used = lock.holding {
      state = problem == nil ? .completed : .error
      defer { (parts, recorded) = ([], nil) }
      return (parts, recorded)
    }
    withExtendedLifetime(used) {}
    while let handler = nextCompletedHandler() { handler(self) }
  }

  /// The handlers are done when there are none left, and those that wait for them go on.
  private func nextCompletedHandler() -> MTLCommandBufferHandler? {
    lock.holding {
      if !completedHandlers.isEmpty { return completedHandlers.removeFirst() }
      isDone = true
      changed.wakeAll()
      return nil
    }
  }

  private func markScheduled() -> [MTLCommandBufferHandler] {
    lock.holding {
      guard !wasScheduled else { return [] }
      wasScheduled = true
      if state == .committed { state = .scheduled }
      changed.wakeAll()
      defer { scheduledHandlers = [] }
      return scheduledHandlers
    }
  }

  private func scheduledByEngine() {
    let handlers = markScheduled()
    if handlers.isEmpty { return }
    queue.callBack(callsOut: true) { for handler in handlers { handler(self) } }
  }

  // MARK: waiting

  func addScheduledHandler(_ block: @escaping MTLCommandBufferHandler) {
    let late = lock.holding {
      if !wasScheduled { scheduledHandlers.append(block) }
      return wasScheduled
    }
    if late { queue.callBack(callsOut: true) { block(self) } }
  }

  func addCompletedHandler(_ block: @escaping MTLCommandBufferHandler) {
    let late = lock.holding {
      if !isDone { completedHandlers.append(block) }
      return isDone
    }
    if late { queue.callBack(callsOut: true) { block(self) } }
  }

  func waitUntilScheduled() {
    guard canWait("waitUntilScheduled") else { return }
    lock.holding { while !wasScheduled { changed.wait(lock) } }
  }

  func waitUntilCompleted() {
    guard canWait("waitUntilCompleted") else { return }
    lock.holding { while !isDone { changed.wait(lock) } }
  }

  private func canWait(_ call: String) -> Bool {
    if isCommitted { return true }
    fail(.internal, "Cannot wait for \(described): \(call)() was called before commit()")
    return false
  }
}
