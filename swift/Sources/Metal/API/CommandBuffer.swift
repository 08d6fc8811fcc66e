public typealias MTLCommandBufferHandler = @Sendable (any MTLCommandBuffer) -> Void

public protocol MTLCommandBuffer: AnyObject, Sendable {
  var device: any MTLDevice { get }
  var commandQueue: any MTLCommandQueue { get }
  var retainedReferences: Bool { get }
  var errorOptions: MTLCommandBufferErrorOption { get }
  var label: String? { get set }
  var kernelStartTime: CFTimeInterval { get }
  var kernelEndTime: CFTimeInterval { get }
  var gpuStartTime: CFTimeInterval { get }
  var gpuEndTime: CFTimeInterval { get }
  var status: MTLCommandBufferStatus { get }
  var error: (any Error)? { get }

  func enqueue()
  func commit()
  @preconcurrency func addScheduledHandler(_ block: @escaping MTLCommandBufferHandler)
  @preconcurrency func addCompletedHandler(_ block: @escaping MTLCommandBufferHandler)
  func waitUntilScheduled()
  func waitUntilCompleted()

  func makeComputeCommandEncoder() -> (any MTLComputeCommandEncoder)?
  func makeComputeCommandEncoder(dispatchType: MTLDispatchType) -> (any MTLComputeCommandEncoder)?
  func makeComputeCommandEncoder(descriptor computePassDescriptor: MTLComputePassDescriptor)
    -> (any MTLComputeCommandEncoder)?
  func makeBlitCommandEncoder() -> (any MTLBlitCommandEncoder)?
  func makeBlitCommandEncoder(descriptor blitPassDescriptor: MTLBlitPassDescriptor) -> (any MTLBlitCommandEncoder)?
  func encodeWaitForEvent(_ event: any MTLEvent, value: UInt64)
  func encodeSignalEvent(_ event: any MTLEvent, value: UInt64)
  func pushDebugGroup(_ string: String)
  func popDebugGroup()
}

extension MTLCommandBuffer {
  /// Returns when the command buffer is scheduled.
  public func scheduled() async {
    await withCheckedContinuation { continuation in addScheduledHandler { _ in continuation.resume() } }
  }

  /// Returns when the command buffer has finished.
  public func completed() async {
    await withCheckedContinuation { continuation in addCompletedHandler { _ in continuation.resume() } }
  }
}

open class MTLComputePassDescriptor: @unchecked Sendable {
  public var dispatchType: MTLDispatchType = .serial
  public init() {}
  public class func computePassDescriptor() -> MTLComputePassDescriptor { MTLComputePassDescriptor() }
}

open class MTLBlitPassDescriptor: @unchecked Sendable {
  public init() {}
  public class func blitPassDescriptor() -> MTLBlitPassDescriptor { MTLBlitPassDescriptor() }
}
