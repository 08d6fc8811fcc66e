import CMetalFaiss
import Metal

/// A kernel, ready to run.
final class GPUPipeline: @unchecked Sendable {
  struct Argument {
    let name: String
    /// Bytes that must lie behind a pointer or reference.
    let least: Int
    /// What its offset must be a multiple of.
    let alignment: Int
    let isUsed: Bool
  }

  let raw: any MTLComputePipelineState
  let device: GPUDevice
  let name: String
  /// By index of the buffer; nil where the kernel has none. No array where Metal told nothing.
  let arguments: [Argument?]?
  /// The same as plain numbers, for dispatches: bytes and alignment; (0, 1) where the kernel has none.
  let needs: [(least: Int, alignment: Int)]
  /// How many must be given at least.
  let leastArguments: Int
  let maxThreads: Int
  /// Bytes of threadgroup variables in its body.
  let threadgroupMemory: Int

  init(_ device: GPUDevice, _ function: any MTLFunction, _ name: String) throws {
    let descriptor = MTLComputePipelineDescriptor()
    descriptor.computeFunction = function
    descriptor.label = name
    // bindingInfo and bufferTypeInfo; the first has two names, by SDK.
    let made = Gate<(any MTLComputePipelineState, MTLComputePipelineReflection?)>()
    device.raw.makeComputePipelineState(descriptor: descriptor, options: MTLPipelineOption(rawValue: 3)) {
      state, reflection, error in
      if let state {
        made.open(.success((state, reflection)))
      } else {
        made.open(.failure(error.map(refusal(of:)) ?? CompileFault(log: "no pipeline was made")))
      }
    }
    let (state, reflection) = try made.wait().get()
    raw = state
    self.device = device
    self.name = name
    let table = reflection.map(Self.table)
    arguments = table
    needs = (table ?? []).map { ($0?.least ?? 0, $0?.alignment ?? 1) }
    leastArguments = (table?.lastIndex { $0?.isUsed == true } ?? -1) + 1
    maxThreads = state.maxTotalThreadsPerThreadgroup
    threadgroupMemory = state.staticThreadgroupMemoryLength
  }

  private static func table(_ reflection: MTLComputePipelineReflection) -> [Argument?] {
    var arguments: [Argument?] = []
    for binding in reflection.bindings {
      guard let buffer = binding as? any MTLBufferBinding, binding.index >= 0, binding.index < 31 else { continue }
      while arguments.count <= binding.index { arguments.append(nil) }
      arguments[binding.index] = Argument(
        name: binding.name, least: buffer.bufferDataSize, alignment: max(1, buffer.bufferAlignment),
        isUsed: binding.isUsed)
    }
    return arguments
  }

  /// Its arguments, for messages.
  var signature: String {
    guard let arguments else { return "" }
    return arguments.enumerated().map { "\($1?.name ?? "nothing") [[buffer(\($0))]]" }.joined(separator: ", ")
  }

  var json: String {
    let list = (arguments ?? []).enumerated().compactMap { index, argument in
      argument.map { "{\"index\":\(index),\"name\":\($0.name.json),\"bytes\":\($0.least)}" }
    }
    return "{\"name\":\(name.json),\"maxThreads\":\(maxThreads),\"threadgroupMemory\":\(threadgroupMemory),"
      + "\"simdWidth\":\(raw.threadExecutionWidth),\"arguments\":\(list.jsonArray)}"
  }
}

@_cdecl("mf_gpu_pipeline_create")
public func gpuPipelineCreate(
  _ library: UInt32, _ constants: UInt32, _ bytes: UnsafePointer<UInt8>?, _ length: Double,
  _ out: UnsafeMutablePointer<UInt32>, _ call: Call
) -> Int32 {
  call.run("make a pipeline") {
    let library = try HandleTable.shared.find(library, GPULibrary.self)
    let bytes = UnsafeRawBufferPointer(start: try given(bytes), count: try count(length, "length"))
    let request = try parsePipelineRequest(constants, bytes)
    try compiling(out) { try library.pipeline(request.name, request.constants) }
  }
}
