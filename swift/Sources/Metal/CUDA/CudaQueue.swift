import Glibc
import Threading

/// A stream. Batches are encoded on the thread that submits them and run in order.
final class CudaQueue: EngineQueue, @unchecked Sendable {
  private let context: CudaContext
  private let memory: CudaMemory
  private let completion: CudaCompletion
  private let stream: OpaquePointer
  private let lock = Mutex()
  private let number = CudaQueue.nextNumber()
  // Used again by every batch.
  private let launcher = CudaLauncher()
  private var functions: [CudaFunction] = []
  private var staged: [UInt8] = []

  init(_ context: CudaContext, _ memory: CudaMemory) throws {
    self.context = context
    self.memory = memory
    completion = try CudaCompletion(context, memory)
    stream = completion.stream
  }

  deinit { completion.close() }

  func submit(_ batch: CommandBatch) {
    let entry = CudaCompletion.Entry(batch)
    lock.acquire()
    memory.batchStarts()
    if let recorded = batch.recorded { replay(recorded, entry) } else { encode(batch.commands, entry) }
    completion.append(entry)
    lock.release()
    batch.scheduled()
    completion.announce(entry)
  }

  /// What fails ends the batch there; what was encoded before it runs.
  private func encode(_ commands: [EngineCommand], _ entry: CudaCompletion.Entry) {
    do {
      try context.enter()
      let count = prepare(commands, entry)
      if !staged.isEmpty {
        try start(entry)
        entry.arena = try upload(entry)
      }
      launcher.arena = entry.arena?.device.address ?? 0
      var next = 0
      for index in 0..<count {
        let command = commands[index]
        if !command.isEvent, entry.start == nil { try start(entry) }
        try issue(command, &next, entry)
      }
    } catch {
      entry.fail(error)
    }
    finishEncoding(entry)
  }

  private func issue(_ command: EngineCommand, _ next: inout Int, _ entry: CudaCompletion.Entry) throws {
    let driver = context.driver
    switch command {
    case .dispatch(let dispatch):
      let code = launcher.launch(dispatch, functions[next], driver, stream)
      next += 1
      if code != 0 { try refuse(code, dispatch, entry) }
    case .copy(let from, let fromOffset, let to, let toOffset, let length):
      guard length > 0 else { return }
      try check(
        driver.cuMemcpyAsync(to.address + UInt(toOffset), from.address + UInt(fromOffset), length, stream), "copy", entry)
    case .fill(let target, let range, let value):
      guard !range.isEmpty else { return }
      try check(
        driver.cuMemsetD8Async(target.address + UInt(range.lowerBound), value, range.count, stream), "fill", entry)
    case .signal(let event, let value):
      try check(driver.cuStreamWriteValue64(stream, try own(event).address, value, 0), "signal an event", entry)
    case .wait(let event, let value):
      let event = try own(event)
      // Counters only grow: what has come needs no wait.
      if event.signaledValue >= value { return }
      try check(driver.cuStreamWaitValue64(stream, event.address, value, CU.waitAtLeast), "wait for an event", entry)
    case .multiply(let job): try completion.multiply(job)
    }
  }

  // MARK: recordings

  /// From the second time on as graphs, where the driver lets it: each queue its own, as a graph runs once at
  /// a time.
  private func replay(_ recorded: RecordedCommands, _ entry: CudaCompletion.Entry) {
    let known = recorded.kept(for: number) {
      completion.remember(recorded, number)
      return CudaReplay(context, memory)
    }
    if known.isKnown, !known.isRefused, known.steps.isEmpty {
      do { try build(known, recorded.commands, entry) } catch { known.refuse() }
    }
    known.isKnown = true
    guard !known.steps.isEmpty, let graphs = context.driver.graphs else { return encode(recorded.commands, entry) }
    do {
      try context.enter()
      for step in known.steps {
        switch step {
        case .graph(let graph):
          try start(entry)
          try check(graphs.cuGraphLaunch(graph, stream), "replay", entry)
        case .event(let index):
          var none = 0
          try issue(recorded.commands[index], &none, entry)
        }
      }
    } catch {
      entry.fail(error)
    }
    finishEncoding(entry)
  }

  /// What does not fit is left to the plain way, which says why.
  private func build(_ replay: CudaReplay, _ commands: [EngineCommand], _ entry: CudaCompletion.Entry) throws {
    try context.enter()
    let probe = CudaCompletion.Entry(CommandBatch(label: nil, commands: [], scheduled: {}, finished: { _ in }))
    guard let capture = CudaCapture(context, stream), prepare(commands, probe) == commands.count else {
      throw EngineError.failed("Cannot record a graph")
    }
    if !staged.isEmpty { replay.arena = try upload(probe) }
    launcher.arena = replay.arena?.device.address ?? 0
    var next = 0
    var index = 0
    while index < commands.count {
      if commands[index].isEvent {
        replay.steps.append(.event(index))
        index += 1
        continue
      }
      let graph = try capture.graph {
        while index < commands.count, !commands[index].isEvent {
          try issue(commands[index], &next, entry)
          index += 1
        }
      }
      replay.steps.append(.graph(graph))
    }
  }

  private static let numbers = Mutex()
  nonisolated(unsafe) private static var lastNumber: UInt64 = 0

  private static func nextNumber() -> UInt64 {
    numbers.acquire()
    defer { numbers.release() }
    lastNumber += 1
    return lastNumber
  }

  // MARK: parts of a batch

  /// Finds the functions, compiling forms of them that nobody asked for before, and gathers the bytes that
  /// kernels read through pointers. Returns how many commands can be encoded; the next one's error is noted.
  private func prepare(_ commands: [EngineCommand], _ entry: CudaCompletion.Entry) -> Int {
    staged.removeAll(keepingCapacity: true)
    functions.removeAll(keepingCapacity: true)
    for (index, command) in commands.enumerated() {
      do {
        if case .multiply = command { try completion.prepareProducts() }
        guard case .dispatch(let dispatch) = command else { continue }
        guard let pipeline = dispatch.pipeline as? CudaPipeline, pipeline.context === context else {
          throw EngineError.invalid("Cannot run \(dispatch.label): its pipeline belongs to another device")
        }
        let function = try pipeline.function(for: dispatch.arguments)
        try CudaLauncher.validate(dispatch, function)
        CudaLauncher.stage(dispatch, function, into: &staged)
        functions.append(function)
      } catch {
        entry.fail(error)
        return index
      }
    }
    return commands.count
  }

  /// The bytes stay there until the arena is given back.
  private func upload(_ entry: CudaCompletion.Entry) throws -> CudaCompletion.Arena {
    let arena = try completion.takeArena(staged.count)
    staged.withUnsafeBytes { arena.host.contents!.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    let code = context.driver.cuMemcpyAsync(arena.device.address, arena.host.address, staged.count, stream)
    if code != 0 { completion.giveArena(arena) }
    try check(code, "copy arguments", entry)
    return arena
  }

  /// Once a batch, before its first work: waits for other queues at its head are not its time.
  private func start(_ entry: CudaCompletion.Entry) throws {
    guard entry.start == nil else { return }
    let event = try completion.takeEvent()
    entry.start = event
    try check(context.driver.cuEventRecord(event, stream), "record an event", entry)
  }

  private func finishEncoding(_ entry: CudaCompletion.Entry) {
    functions.removeAll(keepingCapacity: true)
    do {
      try context.enter()
      let event = try completion.takeEvent()
      entry.end = event
      try check(context.driver.cuEventRecord(event, stream), "record an event", entry)
    } catch {
      entry.fail(error)
    }
  }

  private func own(_ event: any EngineEvent) throws -> CudaEvent {
    guard let event = event as? CudaEvent else {
      throw EngineError.invalid("Cannot use an event of another kind of device")
    }
    return event
  }

  private func check(_ code: Int32, _ doing: @autoclosure () -> String, _ entry: CudaCompletion.Entry) throws {
    guard code != 0 else { return }
    if CudaDriver.isSticky(code) { throw context.lose(code, kernels: completion.runningKernels() + entry.kernels) }
    try context.check(code, doing())
  }

  private func refuse(_ code: Int32, _ dispatch: EngineDispatch, _ entry: CudaCompletion.Entry) throws {
    let size = dispatch.threadsPerThreadgroup
    let what = "run \(dispatch.label) with threadgroups of \(size.width) × \(size.height) × \(size.depth)"
    switch code {
    case 1, CU.launchOutOfResources: throw EngineError.invalid("Cannot \(what): \(context.driver.describe(code))")
    default: try check(code, what, entry)
    }
  }
}

extension EngineCommand {
  /// Whether it is about order alone.
  fileprivate var isEvent: Bool {
    switch self {
    case .signal, .wait: true
    case .dispatch, .copy, .fill, .multiply: false
    }
  }
}
