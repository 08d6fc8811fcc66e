import Glibc
import Threading

/// A stream. Batches are encoded on the thread that submits them and run in order.
final class CudaQueue: EngineQueue, @unchecked Sendable {
  private let context: CudaContext
  private let memory: CudaMemory
  private let completion: CudaCompletion
  private let stream: OpaquePointer
  private let lock = Mutex()
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
    encode(batch.commands, entry)
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
        try upload(entry)
      }
      launcher.arena = entry.arena?.device.address ?? 0
      var next = 0
      for index in 0..<count {
        switch commands[index] {
        case .dispatch(let dispatch):
          if entry.start == nil { try start(entry) }
          let code = launcher.launch(dispatch, functions[next], context.driver, stream)
          next += 1
          if code != 0 { try refuse(code, dispatch, entry) }
        case .copy(let from, let fromOffset, let to, let toOffset, let length):
          guard length > 0 else { continue }
          try start(entry)
          try check(
            context.driver.cuMemcpyAsync(to.address + UInt(toOffset), from.address + UInt(fromOffset), length, stream),
            "copy", entry)
        case .fill(let target, let range, let value):
          guard !range.isEmpty else { continue }
          try start(entry)
          try check(
            context.driver.cuMemsetD8Async(target.address + UInt(range.lowerBound), value, range.count, stream), "fill",
            entry)
        case .signal(let event, let value):
          try check(
            context.driver.cuStreamWriteValue64(stream, try own(event).address, value, 0), "signal an event", entry)
        case .wait(let event, let value):
          let event = try own(event)
          // Counters only grow: what has come needs no wait.
          if event.signaledValue >= value { continue }
          try check(
            context.driver.cuStreamWaitValue64(stream, event.address, value, CU.waitAtLeast), "wait for an event", entry
          )
        case .multiply(let job):
          try start(entry)
          try completion.multiply(job)
        }
      }
    } catch {
      entry.fail(error)
    }
    functions.removeAll(keepingCapacity: true)
    finishEncoding(entry)
  }

  /// Finds the functions, compiling forms of them that nobody asked for before, and gathers the bytes that
  /// kernels read through pointers. Returns how many commands can be encoded; the next one's error is noted.
  private func prepare(_ commands: [EngineCommand], _ entry: CudaCompletion.Entry) -> Int {
    staged.removeAll(keepingCapacity: true)
    for (index, command) in commands.enumerated() {
      guard case .dispatch(let dispatch) = command else { continue }
      do {
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

  private func upload(_ entry: CudaCompletion.Entry) throws {
    let arena = try completion.takeArena(staged.count)
    entry.arena = arena
    staged.withUnsafeBytes { arena.host.contents!.copyMemory(from: $0.baseAddress!, byteCount: $0.count) }
    try check(
      context.driver.cuMemcpyAsync(arena.device.address, arena.host.address, staged.count, stream), "copy arguments",
      entry)
  }

  /// Once a batch, before its first work: waits for other queues at its head are not its time.
  private func start(_ entry: CudaCompletion.Entry) throws {
    guard entry.start == nil else { return }
    let event = try completion.takeEvent()
    entry.start = event
    try check(context.driver.cuEventRecord(event, stream), "record an event", entry)
  }

  private func finishEncoding(_ entry: CudaCompletion.Entry) {
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
