import CMetalFaiss
import Metal

/// A command buffer that is encoded and not yet committed, and what it must keep alive.
final class EncodedProgram {
  let buffer: any MTLCommandBuffer
  fileprivate(set) var threads = 0.0
  fileprivate(set) var dispatches = 0
  fileprivate var objects: [AnyObject] = []

  init(_ buffer: any MTLCommandBuffer, threads: Double = 0, dispatches: Int = 0, objects: [AnyObject] = []) {
    self.buffer = buffer
    self.threads = threads
    self.dispatches = dispatches
    self.objects = objects
  }

  /// Lets go of buffers and pipelines.
  func release() { objects = [] }
}

/// Reads an mf_gpu_program, every part of it checked: the bytes may be anything.
struct Program {
  let stream: GPUStream
  let buffers: [GPUBuffer]
  let pipelines: [GPUPipeline]
  let events: [GPUEvent]
  private let bytes: UnsafeRawBufferPointer
  private let header: mf_gpu_program
  private let label: String

  init(_ bytes: UnsafeRawBufferPointer, _ stream: GPUStream) throws {
    let headerSize = MemoryLayout<mf_gpu_program>.size
    guard bytes.count >= headerSize else { throw Failure.shape("the program is cut short") }
    header = bytes.loadUnaligned(as: mf_gpu_program.self)
    let objects = Int(header.buffers) + Int(header.pipelines) + Int(header.events)
    guard Int(header.bytes) == bytes.count, Int(header.objects_at) >= headerSize,
      Int(header.objects_at) + objects * 4 + Int(header.label_length) <= bytes.count
    else { throw Failure.shape("the program's header does not fit its \(bytes.count) bytes") }
    self.bytes = bytes
    self.stream = stream
    var at = Int(header.objects_at)
    func take<T: AnyObject>(_ count: UInt32, _ type: T.Type) throws -> [T] {
      try (0..<count).map { _ in
        defer { at += 4 }
        return try HandleTable.shared.find(bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self), type)
      }
    }
    buffers = try take(header.buffers, GPUBuffer.self)
    pipelines = try take(header.pipelines, GPUPipeline.self)
    events = try take(header.events, GPUEvent.self)
    label = String(decoding: bytes[at..<at + Int(header.label_length)], as: UTF8.self)
    let device = stream.device
    guard buffers.allSatisfy({ $0.device === device }), pipelines.allSatisfy({ $0.device === device }),
      events.allSatisfy({ $0.device === device })
    else { throw Failure.value("the stream is of \(device.raw.name), but not all that its commands use") }
  }

  /// A stream of the same device.
  func encode(on stream: GPUStream) throws -> EncodedProgram {
    guard let buffer = stream.queue.makeCommandBuffer() else {
      throw Failure.device("\(stream.device.raw.name) makes no command buffer")
    }
    if !label.isEmpty { buffer.label = label }
    let encoded = EncodedProgram(buffer)
    var encoders = Encoders(buffer)
    defer { encoders.end() }
    var at = MemoryLayout<mf_gpu_program>.size
    let end = Int(header.objects_at)
    for index in 0..<Int(header.commands) {
      guard end - at >= 8 else { throw Failure.shape("the program lacks command \(index)") }
      let kind = load(at, UInt32.self)
      let size = Int(load(at + 4, UInt32.self))
      guard size >= 8, size % 8 == 0, size <= end - at else {
        throw Failure.shape("command \(index) claims \(size) bytes")
      }
      let command = UnsafeRawBufferPointer(rebasing: bytes[at..<at + size])
      do {
        switch kind {
        case MF_DISPATCH_THREADS.rawValue, MF_DISPATCH_THREADGROUPS.rawValue:
          let inThreads = kind == MF_DISPATCH_THREADS.rawValue
          encoded.threads += try dispatch(command, inThreads: inThreads, &encoders)
          encoded.dispatches += 1
        case MF_COPY.rawValue: try copy(Self.read(command), try encoders.blit())
        case MF_FILL.rawValue: try fill(Self.read(command), try encoders.blit())
        case MF_MULTIPLY.rawValue:
          encoders.end()
          encoded.threads += try multiply(Self.read(command), into: buffer)
          encoded.dispatches += 1
        case MF_SIGNAL.rawValue, MF_AWAIT.rawValue:
          let sync: mf_gpu_sync = try Self.read(command)
          let event = try object(sync.event, events)
          let value = UInt64(try count(sync.value, "value"))
          encoders.end()
          if kind == MF_SIGNAL.rawValue {
            buffer.encodeSignalEvent(event.raw, value: value)
          } else {
            buffer.encodeWaitForEvent(event.raw, value: value)
          }
        default: throw Failure.shape("kind \(kind) is unknown")
        }
      } catch let failure as Failure {
        throw Failure(status: failure.status, message: "command \(index): \(failure.message)")
      }
      at += size
    }
    guard at == end else { throw Failure.shape("the program has \(end - at) bytes after its last command") }
    encoded.objects = buffers as [AnyObject] + pipelines as [AnyObject] + events as [AnyObject]
    return encoded
  }

  private func load<T>(_ at: Int, _ type: T.Type) -> T { bytes.loadUnaligned(fromByteOffset: at, as: type) }

  /// The record that a command is.
  static func read<T>(_ command: UnsafeRawBufferPointer) throws -> T {
    guard command.count >= MemoryLayout<T>.size else { throw Failure.shape("the command is cut short") }
    return command.loadUnaligned(as: T.self)
  }

  func object<T>(_ index: UInt32, _ objects: [T]) throws -> T {
    guard Int(index) < objects.count else { throw Failure.shape("object \(index) is not among \(objects.count)") }
    return objects[Int(index)]
  }

  private func copy(_ command: mf_gpu_copy, _ encoder: any MTLBlitCommandEncoder) throws {
    let from = try object(command.from, buffers)
    let to = try object(command.to, buffers)
    let source = try from.range(command.from_offset, command.length)
    let target = try to.range(command.to_offset, command.length)
    guard from !== to || !source.overlaps(target) else { throw Failure.value("a copy overlaps itself") }
    guard !source.isEmpty else { return }
    encoder.copy(
      from: from.raw, sourceOffset: source.lowerBound, to: to.raw, destinationOffset: target.lowerBound,
      size: source.count)
  }

  private func fill(_ command: mf_gpu_fill, _ encoder: any MTLBlitCommandEncoder) throws {
    let buffer = try object(command.buffer, buffers)
    let range = try buffer.range(command.offset, command.length)
    guard command.value <= 255 else { throw Failure.value("value must be one byte, not \(command.value)") }
    guard !range.isEmpty else { return }
    let end = range.lowerBound + buffer.blitLength(range)
    encoder.fill(buffer: buffer.raw, range: range.lowerBound..<end, value: UInt8(command.value))
  }
}

/// The one encoder that is open.
struct Encoders {
  private let buffer: any MTLCommandBuffer
  private var computing: (any MTLComputeCommandEncoder)?
  private var blitting: (any MTLBlitCommandEncoder)?
  /// What the compute encoder was told last.
  var pipeline: GPUPipeline?
  var memories = 0

  init(_ buffer: any MTLCommandBuffer) { self.buffer = buffer }

  mutating func compute() throws -> any MTLComputeCommandEncoder {
    if let computing { return computing }
    end()
    guard let encoder = buffer.makeComputeCommandEncoder() else { throw Failure.device("no encoder was made") }
    computing = encoder
    return encoder
  }

  mutating func blit() throws -> any MTLBlitCommandEncoder {
    if let blitting { return blitting }
    end()
    guard let encoder = buffer.makeBlitCommandEncoder() else { throw Failure.device("no encoder was made") }
    blitting = encoder
    return encoder
  }

  mutating func end() {
    computing?.endEncoding()
    blitting?.endEncoding()
    computing = nil
    blitting = nil
    pipeline = nil
    memories = 0
  }
}
