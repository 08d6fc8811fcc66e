/// What a queue keeps of a recording: graphs of its commands, and between them the events that it waits for
/// and signals. A graph's kernels start within about a microsecond of each other, launches within five.
final class CudaReplay: @unchecked Sendable {
  enum Step {
    case graph(OpaquePointer)
    /// A command by its index.
    case event(Int)
  }

  /// Whether it was submitted before. What runs once is not worth a graph.
  var isKnown = false
  /// Whether the driver, or cuBLAS, did not let it become one.
  private(set) var isRefused = false
  var steps: [Step] = []
  /// Bytes that kernels read through pointers.
  var arena: CudaCompletion.Arena?

  private let context: CudaContext
  private let memory: CudaMemory

  init(_ context: CudaContext, _ memory: CudaMemory) {
    self.context = context
    self.memory = memory
  }

  // Batches keep their recordings, so no graph runs any more.
  deinit {
    dropGraphs()
    if let arena {
      memory.release(arena.host)
      memory.release(arena.device)
    }
  }

  /// From now on it goes the plain way. The arena stays: its bytes may be on their way there.
  func refuse() {
    dropGraphs()
    isRefused = true
  }

  private func dropGraphs() {
    if !steps.isEmpty, let graphs = context.driver.graphs, (try? context.enter()) != nil {
      for case .graph(let graph) in steps { _ = graphs.cuGraphExecDestroy(graph) }
    }
    steps = []
  }
}

/// Turns what a stream is asked to do into a graph instead of doing it.
struct CudaCapture {
  private let context: CudaContext
  private let graphs: CudaDriver.Graphs
  private let stream: OpaquePointer

  init?(_ context: CudaContext, _ stream: OpaquePointer) {
    guard let graphs = context.driver.graphs else { return nil }
    self.context = context
    self.graphs = graphs
    self.stream = stream
  }

  /// The stream is left as it was, whatever happens.
  func graph(_ body: () throws -> Void) throws -> OpaquePointer {
    // Other threads, and cuBLAS when it loads a kernel, may do what they like meanwhile.
    try context.check(graphs.cuStreamBeginCapture(stream, CU.captureRelaxed), "record a graph")
    var graph: OpaquePointer?
    do { try body() } catch {
      _ = graphs.cuStreamEndCapture(stream, &graph)
      if let graph { _ = graphs.cuGraphDestroy(graph) }
      throw error
    }
    try context.check(graphs.cuStreamEndCapture(stream, &graph), "record a graph")
    guard let graph else { throw EngineError.failed("Cannot record a graph: the driver made none") }
    defer { _ = graphs.cuGraphDestroy(graph) }
    var made: OpaquePointer?
    try context.check(graphs.cuGraphInstantiate(&made, graph, 0), "make a graph")
    guard let made else { throw EngineError.failed("Cannot make a graph: the driver made none") }
    return made
  }
}
