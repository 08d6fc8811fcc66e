import Threading

/// What executes the API of this module: the emulator or CUDA. The API classes validate and record; an
/// engine allocates, compiles, and runs recorded commands in order.
protocol Engine: AnyObject, Sendable {
  /// "emulator" or "cuda".
  var name: String { get }
  var deviceName: String { get }
  var registryID: UInt64 { get }
  /// Whether the host and the kernels share one memory, so that private buffers gain nothing.
  var hasUnifiedMemory: Bool { get }
  var maxBufferLength: Int { get }
  /// Bytes that can be allocated before it gets slow or fails.
  var recommendedMaxWorkingSetSize: Int { get }
  var facts: MetalDeviceFacts { get }
  /// Of the libraries that it uses, by name.
  func versions() -> [(name: String, version: String)]

  /// Throws `EngineError.outOfMemory`.
  func allocate(_ length: Int, _ storage: MTLStorageMode) throws -> Allocation
  /// A shared allocation over the caller's memory, or nil where the engine cannot map it. `release` runs once it is unused.
  func wrap(_ memory: UnsafeMutableRawPointer, _ length: Int, release: @escaping @Sendable () -> Void) throws -> Allocation?
  /// Checks a whole library as far as the engine can without building each kernel. Throws `CompileFailure`.
  func check(_ translation: Translation, _ options: CompileSettings) throws
  /// Throws `CompileFailure`.
  func makePipeline(_ translation: Translation, _ kernel: Kernel, _ constants: [Int: FunctionConstant], _ options: CompileSettings) throws
    -> any EnginePipeline
  func makeQueue(_ label: String?) throws -> any EngineQueue
  func makeEvent() throws -> any EngineEvent
}

/// Memory that kernels can use. Freed when the last reference goes.
class Allocation: @unchecked Sendable {
  let length: Int
  /// As kernels see it.
  let address: UInt
  /// As the host sees it; nil for private memory that it cannot see.
  let contents: UnsafeMutableRawPointer?
  init(length: Int, address: UInt, contents: UnsafeMutableRawPointer?) {
    self.length = length
    self.address = address
    self.contents = contents
  }
}

struct CompileSettings: Hashable, Sendable {
  enum MathMode: Int, Hashable, Sendable { case safe, relaxed, fast }
  var mathMode = MathMode.safe
  var macros: [String: String] = [:]
}

/// One kernel, ready to run.
protocol EnginePipeline: AnyObject, Sendable {
  var maxTotalThreadsPerThreadgroup: Int { get }
  /// Bytes of threadgroup variables in the kernel's body.
  var staticThreadgroupMemoryLength: Int { get }
  /// By parameter of the kernel: the bytes that a reference needs behind it, 0 for the others.
  var argumentBytes: [Int] { get }
  /// By parameter of the kernel: what the address of its buffer must be a multiple of.
  var argumentAlignments: [Int] { get }
}

/// What a kernel says of an argument: the bytes behind it, and the alignment's logarithm in the top four bits.
func argumentBytes(_ said: UInt32) -> Int { Int(said & 0x0fff_ffff) }
func argumentAlignment(_ said: UInt32) -> Int { 1 << Int(said >> 28) }

/// Runs batches in order, one after the other, without blocking the caller.
protocol EngineQueue: AnyObject, Sendable {
  func submit(_ batch: CommandBatch)
}

/// A counter that only grows; batches signal it and wait for it.
protocol EngineEvent: AnyObject, Sendable {
  var signaledValue: UInt64 { get }
  /// By the host. A smaller value changes nothing.
  func raise(to value: UInt64)
}

/// The commands of one command buffer.
final class CommandBatch: @unchecked Sendable {
  let label: String?
  let commands: [EngineCommand]
  /// Where these commands may come again.
  let recorded: RecordedCommands?
  let scheduled: @Sendable () -> Void
  /// Called once, from any thread, when all is done or the first command failed.
  let finished: @Sendable (BatchResult) -> Void
  init(
    label: String?, commands: [EngineCommand], recorded: RecordedCommands? = nil,
    scheduled: @escaping @Sendable () -> Void, finished: @escaping @Sendable (BatchResult) -> Void
  ) {
    self.label = label
    self.commands = commands
    self.recorded = recorded
    self.scheduled = scheduled
    self.finished = finished
  }
}

/// Commands that are submitted again and again, and what a queue keeps with them to start them sooner.
final class RecordedCommands: @unchecked Sendable {
  let commands: [EngineCommand]
  private let lock = Mutex()
  private var kept: [UInt64: AnyObject] = [:]

  init(_ commands: [EngineCommand]) { self.commands = commands }

  /// One a queue, by a number that no other queue ever has: their batches may run at once.
  func kept<T: AnyObject>(for queue: UInt64, _ make: () -> T) -> T {
    lock.holding {
      if let known = kept[queue] as? T { return known }
      let made = make()
      kept[queue] = made
      return made
    }
  }

  /// The queue is gone, and has nothing under way.
  func forget(_ queue: UInt64) {
    let dropped = lock.holding { kept.removeValue(forKey: queue) }
    withExtendedLifetime(dropped) {}  // freed outside the lock
  }
}

struct BatchResult: Sendable {
  /// Seconds on the host's monotonic clock, one clock for all queues of a device; their difference is exact,
  /// their place is not.
  var gpuStart: Double
  var gpuEnd: Double
  var error: EngineError?
}

enum EngineCommand {
  case dispatch(EngineDispatch)
  case copy(from: Allocation, Int, to: Allocation, Int, length: Int)
  case fill(Allocation, Range<Int>, UInt8)
  case signal(any EngineEvent, UInt64)
  case wait(any EngineEvent, UInt64)
  indirect case multiply(EngineMultiply)
}

/// A validated dispatch: sizes are positive, required arguments are set. A class, as lists of commands are
/// read several times, and each read of a struct would count references to all that is in it.
final class EngineDispatch {
  let pipeline: any EnginePipeline
  /// By parameter of the kernel; nil for built-in and threadgroup parameters.
  let arguments: [EngineArgument?]
  /// By parameter of the kernel: bytes of threadgroup memory, 0 for the others; empty where there is none.
  let threadgroupBytes: [Int]
  /// Threads in all; the threadgroups at the far edges may be partial.
  let threads: MTLSize
  let threadsPerThreadgroup: MTLSize
  /// Where it was encoded, as far as labels tell.
  let place: String
  let kernel: String

  init(
    pipeline: any EnginePipeline, arguments: [EngineArgument?], threadgroupBytes: [Int], threads: MTLSize,
    threadsPerThreadgroup: MTLSize, kernel: String, place: String
  ) {
    self.pipeline = pipeline
    self.arguments = arguments
    self.threadgroupBytes = threadgroupBytes
    self.threads = threads
    self.threadsPerThreadgroup = threadsPerThreadgroup
    self.kernel = kernel
    self.place = place
  }

  /// For messages.
  var label: String { place.isEmpty ? kernel : "\(kernel) (in \(place))" }
}

enum EngineArgument {
  case buffer(Allocation, offset: Int)
  case bytes([UInt8])
}

/// C = alpha · op(A) op(B) + beta · C, matrices in rows, as MPSMatrixMultiplication means it.
struct EngineMultiply {
  enum Element: Sendable { case float32, float16 }
  struct Matrix {
    var memory: Allocation
    var offset: Int
    var rowBytes: Int
    var element: Element

    var elementBytes: Int { element == .float32 ? 4 : 2 }
  }
  var left: Matrix
  var right: Matrix
  var result: Matrix
  var transposeLeft: Bool
  var transposeRight: Bool
  var rows: Int
  var columns: Int
  var interior: Int
  var alpha: Double
  var beta: Double
}

/// Why an engine could not do something. The text names kernel, argument and thread where there are any.
enum EngineError: Error, Sendable {
  case outOfMemory(String)
  /// A kernel broke a rule: bounds, barrier, race, limits.
  case invalid(String)
  /// The device is gone or refuses all further work.
  case deviceLost(String)
  case failed(String)

  var message: String {
    switch self {
    case .outOfMemory(let text), .invalid(let text), .deviceLost(let text), .failed(let text): text
    }
  }
}
