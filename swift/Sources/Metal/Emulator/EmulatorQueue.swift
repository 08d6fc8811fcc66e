import CMetal
import Threading

/// A thread that runs batches in order.
final class EmulatorQueue: EngineQueue, @unchecked Sendable {
  private let line = Line()

  init(_ engine: EmulatorEngine) throws {
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(Runner(engine, line)).toOpaque()
    let code = pthread_create(&thread, nil, { EmulatorQueue.main($0) }, argument)
    guard code == 0 else {
      Unmanaged<Runner>.fromOpaque(argument).release()
      throw EngineError.failed("Cannot start a queue: \(String(cString: strerror(code)))")
    }
    pthread_detach(thread)
  }

  deinit { line.close() }

  func submit(_ batch: CommandBatch) { line.add(batch) }

  private static func main(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    let runner = Unmanaged<Runner>.fromOpaque(argument!).takeRetainedValue()
    while let batch = runner.line.next() { runner.run(batch) }
    return nil
  }
}

/// Batches that wait.
private final class Line: @unchecked Sendable {
  private let lock = Mutex()
  private let changed = Condition()
  private var batches: [CommandBatch] = []
  private var isClosed = false

  func add(_ batch: CommandBatch) {
    lock.holding {
      batches.append(batch)
      changed.wakeAll()
    }
  }

  /// What was submitted still runs.
  func close() {
    lock.holding {
      isClosed = true
      changed.wakeAll()
    }
  }

  func next() -> CommandBatch? {
    lock.holding {
      while batches.isEmpty && !isClosed { changed.wait(lock) }
      return batches.isEmpty ? nil : batches.removeFirst()
    }
  }
}

private final class Runner {
  let engine: EmulatorEngine
  let line: Line
  private let bytes = EmulatorBytes()

  init(_ engine: EmulatorEngine, _ line: Line) {
    self.engine = engine
    self.line = line
  }

  func run(_ batch: CommandBatch) {
    let start = seconds()
    var failure: EngineError?
    batch.scheduled()
    for command in batch.commands {
      do {
        if failure == nil {
          try run(command)
        } else if case .signal(let event, let value) = command {
          (event as! EmulatorEvent).raise(to: value)  // nobody waits for ever
        }
      } catch {
        failure = error as? EngineError ?? .failed("\(error)")
      }
    }
    // The clock may not have moved: a time of 0 would read as no time at all.
    let end = max(seconds(), start + 1e-9)
    batch.finished(BatchResult(gpuStart: start, gpuEnd: end.nextUp, error: failure))
  }

  private func run(_ command: EngineCommand) throws {
    switch command {
    case .dispatch(let dispatch):
      try (dispatch.pipeline as! EmulatorPipeline).run(dispatch, on: engine, bytes: bytes)
    case .copy(let from, let start, let to, let offset, let length):
      memmove(to.memory(at: offset), from.memory(at: start), length)
    case .fill(let allocation, let range, let value):
      memset(allocation.memory(at: range.lowerBound), Int32(value), range.count)
    case .signal(let event, let value): (event as! EmulatorEvent).raise(to: value)
    case .wait(let event, let value): (event as! EmulatorEvent).wait(for: value)
    case .multiply(let multiply): try multiply.run(on: engine.pool)
    }
  }

  private func seconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}
