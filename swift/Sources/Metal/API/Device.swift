public protocol MTLDevice: AnyObject, Sendable {
  var name: String { get }
  var registryID: UInt64 { get }
  var architecture: MTLArchitecture { get }
  var location: MTLDeviceLocation { get }
  var locationNumber: Int { get }
  var isLowPower: Bool { get }
  var isHeadless: Bool { get }
  var isRemovable: Bool { get }
  var hasUnifiedMemory: Bool { get }
  var recommendedMaxWorkingSetSize: UInt64 { get }
  var currentAllocatedSize: Int { get }
  var maxTransferRate: UInt64 { get }
  var maxBufferLength: Int { get }
  var maxThreadsPerThreadgroup: MTLSize { get }
  var maxThreadgroupMemoryLength: Int { get }
  var argumentBuffersSupport: MTLArgumentBuffersTier { get }
  var supportsDynamicLibraries: Bool { get }
  var supportsFunctionPointers: Bool { get }
  var supportsRaytracing: Bool { get }
  func supportsFamily(_ gpuFamily: MTLGPUFamily) -> Bool

  func makeCommandQueue() -> (any MTLCommandQueue)?
  func makeCommandQueue(maxCommandBufferCount: Int) -> (any MTLCommandQueue)?
  func makeCommandQueue(descriptor: MTLCommandQueueDescriptor) -> (any MTLCommandQueue)?

  func makeBuffer(length: Int, options: MTLResourceOptions) -> (any MTLBuffer)?
  func makeBuffer(bytes pointer: UnsafeRawPointer, length: Int, options: MTLResourceOptions) -> (any MTLBuffer)?
  func makeBuffer(
    bytesNoCopy pointer: UnsafeMutableRawPointer, length: Int, options: MTLResourceOptions,
    deallocator: ((UnsafeMutableRawPointer, Int) -> Void)?) -> (any MTLBuffer)?

  func makeDefaultLibrary() -> (any MTLLibrary)?
  func makeLibrary(filepath: String) throws -> any MTLLibrary
  func makeLibrary(URL url: any CustomStringConvertible) throws -> any MTLLibrary
  func makeLibrary(source: String, options: MTLCompileOptions?) throws -> any MTLLibrary
  @preconcurrency func makeLibrary(
    source: String, options: MTLCompileOptions?, completionHandler: @escaping MTLNewLibraryCompletionHandler)

  func makeComputePipelineState(function computeFunction: any MTLFunction) throws -> any MTLComputePipelineState
  @preconcurrency func makeComputePipelineState(
    function computeFunction: any MTLFunction, completionHandler: @escaping MTLNewComputePipelineStateCompletionHandler)
  func makeComputePipelineState(
    function computeFunction: any MTLFunction, options: MTLPipelineOption,
    reflection: UnsafeMutablePointer<MTLAutoreleasedComputePipelineReflection?>?) throws -> any MTLComputePipelineState
  @preconcurrency func makeComputePipelineState(
    function computeFunction: any MTLFunction, options: MTLPipelineOption,
    completionHandler: @escaping MTLNewComputePipelineStateWithReflectionCompletionHandler)
  func makeComputePipelineState(
    descriptor: MTLComputePipelineDescriptor, options: MTLPipelineOption,
    reflection: UnsafeMutablePointer<MTLAutoreleasedComputePipelineReflection?>?) throws -> any MTLComputePipelineState
  @preconcurrency func makeComputePipelineState(
    descriptor: MTLComputePipelineDescriptor, options: MTLPipelineOption,
    completionHandler: @escaping MTLNewComputePipelineStateWithReflectionCompletionHandler)

  func makeEvent() -> (any MTLEvent)?
  func makeSharedEvent() -> (any MTLSharedEvent)?
  func makeFence() -> (any MTLFence)?
}

public final class MTLArchitecture: Sendable {
  public let name: String
  init(_ name: String) { self.name = name }
}

// Apple's default arguments.
extension MTLDevice {
  public func makeBuffer(length: Int) -> (any MTLBuffer)? { makeBuffer(length: length, options: []) }

  public func makeBuffer(bytes pointer: UnsafeRawPointer, length: Int) -> (any MTLBuffer)? {
    makeBuffer(bytes: pointer, length: length, options: [])
  }

  public func makeBuffer(
    bytesNoCopy pointer: UnsafeMutableRawPointer, length: Int, options: MTLResourceOptions = []
  ) -> (any MTLBuffer)? {
    makeBuffer(bytesNoCopy: pointer, length: length, options: options, deallocator: nil)
  }

  public func makeBuffer(
    bytesNoCopy pointer: UnsafeMutableRawPointer, length: Int, deallocator: ((UnsafeMutableRawPointer, Int) -> Void)?
  ) -> (any MTLBuffer)? {
    makeBuffer(bytesNoCopy: pointer, length: length, options: [], deallocator: deallocator)
  }
}
