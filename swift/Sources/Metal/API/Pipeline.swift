import Threading

public typealias MTLNewComputePipelineStateCompletionHandler =
  @Sendable ((any MTLComputePipelineState)?, (any Error)?) -> Void
public typealias MTLNewComputePipelineStateWithReflectionCompletionHandler =
  @Sendable ((any MTLComputePipelineState)?, MTLComputePipelineReflection?, (any Error)?) -> Void

public protocol MTLComputePipelineState: AnyObject, Sendable {
  var label: String? { get }
  var device: any MTLDevice { get }
  var maxTotalThreadsPerThreadgroup: Int { get }
  var threadExecutionWidth: Int { get }
  var staticThreadgroupMemoryLength: Int { get }
  var supportIndirectCommandBuffers: Bool { get }
  func imageblockMemoryLength(forDimensions imageblockDimensions: MTLSize) -> Int
}

open class MTLComputePipelineDescriptor: @unchecked Sendable {
  public var label: String?
  public var computeFunction: (any MTLFunction)?
  public var threadGroupSizeIsMultipleOfThreadExecutionWidth = false
  public var maxTotalThreadsPerThreadgroup = 0
  public var maxCallStackDepth = 1
  public var supportIndirectCommandBuffers = false
  public var supportAddingBinaryFunctions = false

  public init() {}

  public func reset() {
    label = nil
    computeFunction = nil
    threadGroupSizeIsMultipleOfThreadExecutionWidth = false
    maxTotalThreadsPerThreadgroup = 0
    maxCallStackDepth = 1
    supportIndirectCommandBuffers = false
    supportAddingBinaryFunctions = false
  }
}

final class PipelineObject: MTLComputePipelineState {
  let function: FunctionObject
  let engine: any EnginePipeline
  let label: String?
  let maxTotalThreadsPerThreadgroup: Int
  let staticThreadgroupMemoryLength: Int
  let argumentBytes: [Int]
  let argumentAlignments: [Int]
  let wanted: [Wanted]

  /// An argument that dispatches must have. Plain numbers: dispatches are many.
  struct Wanted {
    /// Index among the kernel's parameters.
    let parameter: Int
    /// Index in the table of buffers, or of threadgroup memory.
    let index: Int
    let isThreadgroup: Bool
    /// Bytes that must lie behind it.
    let least: Int
    /// What its offset must be a multiple of.
    let alignment: Int
  }

  init(_ function: FunctionObject, label: String?, maxThreads: Int = 0) throws {
    self.function = function
    self.label = label
    engine = try function.makePipeline()
    let most = engine.maxTotalThreadsPerThreadgroup
    maxTotalThreadsPerThreadgroup = maxThreads > 0 ? min(most, maxThreads) : most
    staticThreadgroupMemoryLength = engine.staticThreadgroupMemoryLength
    argumentBytes = engine.argumentBytes
    argumentAlignments = engine.argumentAlignments
    let (bytes, alignments) = (argumentBytes, argumentAlignments)
    wanted = function.kernel.parameters.enumerated().compactMap { i, parameter in
      guard function.takes(parameter) else { return nil }
      switch parameter.kind {
      case .buffer(let index, _, _, _):
        return Wanted(parameter: i, index: index, isThreadgroup: false, least: bytes[i], alignment: alignments[i])
      case .threadgroup(let index):
        return Wanted(parameter: i, index: index, isThreadgroup: true, least: 0, alignment: 1)
      case .builtin: return nil
      }
    }
  }

  var device: any MTLDevice { function.library.owner }
  var kernel: Kernel { function.kernel }
  var threadExecutionWidth: Int { 32 }
  var supportIndirectCommandBuffers: Bool { false }
  func imageblockMemoryLength(forDimensions imageblockDimensions: MTLSize) -> Int { 0 }
}
