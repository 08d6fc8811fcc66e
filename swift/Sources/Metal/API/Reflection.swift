public typealias MTLAutoreleasedComputePipelineReflection = MTLComputePipelineReflection

public enum MTLBindingType: Int, Sendable {
  case buffer = 0
  case threadgroupMemory = 1
  case texture = 2
  case sampler = 3
}

public enum MTLBindingAccess: UInt, Sendable {
  case readOnly = 0
  case readWrite = 1
  case writeOnly = 2
}

public protocol MTLBinding: AnyObject, Sendable {
  var name: String { get }
  var type: MTLBindingType { get }
  var access: MTLBindingAccess { get }
  var index: Int { get }
  var isUsed: Bool { get }
  var isArgument: Bool { get }
}

public protocol MTLBufferBinding: MTLBinding {
  /// Bytes that must lie behind a reference; 0 for pointers, whose extent the kernel decides.
  var bufferDataSize: Int { get }
  /// What the offset of a buffer must be a multiple of.
  var bufferAlignment: Int { get }
}

public protocol MTLThreadgroupBinding: MTLBinding {}

/// What a kernel takes.
public final class MTLComputePipelineReflection: Sendable {
  public let bindings: [any MTLBinding]

  init(_ pipeline: PipelineObject) {
    bindings = pipeline.kernel.parameters.enumerated().compactMap { i, parameter in
      let (bytes, alignment) = (pipeline.argumentBytes[i], pipeline.argumentAlignments[i])
      let isUsed = pipeline.function.takes(parameter)
      return switch parameter.kind {
      case .buffer(let index, _, _, let isWritable):
        BufferBinding(parameter.name, index, isWritable ? .readWrite : .readOnly, bytes, alignment, isUsed)
      case .threadgroup(let index): ThreadgroupBinding(parameter.name, index, isUsed)
      case .builtin: nil
      }
    }
  }
}

private class BindingObject: @unchecked Sendable {
  let name: String
  let index: Int
  let access: MTLBindingAccess
  let isUsed: Bool
  let isArgument = true

  init(_ name: String, _ index: Int, _ access: MTLBindingAccess, _ isUsed: Bool) {
    self.name = name
    self.isUsed = isUsed
    self.index = index
    self.access = access
  }
}

private final class BufferBinding: BindingObject, MTLBufferBinding, @unchecked Sendable {
  let bufferDataSize: Int
  let bufferAlignment: Int
  var type: MTLBindingType { .buffer }

  init(_ name: String, _ index: Int, _ access: MTLBindingAccess, _ bytes: Int, _ alignment: Int, _ isUsed: Bool) {
    bufferDataSize = bytes
    bufferAlignment = alignment
    super.init(name, index, access, isUsed)
  }
}

private final class ThreadgroupBinding: BindingObject, MTLThreadgroupBinding, @unchecked Sendable {
  var type: MTLBindingType { .threadgroupMemory }
  init(_ name: String, _ index: Int, _ isUsed: Bool) { super.init(name, index, .readWrite, isUsed) }
}
