import CMetalFaiss
import Metal

/// Commands that were checked once and are committed any number of times, with all that they use.
final class GPURecording: @unchecked Sendable {
  let device: GPUDevice
  let threads: Double
  let dispatches: Int
  // Objects by position, and, for engines that encode anew, a copy of the caller's bytes.
  private let program: Program
  private let memory: UnsafeMutableRawBufferPointer
  #if os(Linux)
    private let recorded: MetalRecording
  #endif

  init(_ bytes: UnsafeRawBufferPointer, _ stream: GPUStream) throws {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 16)
    copy.copyMemory(from: bytes)
    do {
      let program = try Program(UnsafeRawBufferPointer(copy), stream)
      let encoded = try program.encode(on: stream)
      #if os(Linux)
        recorded = try MetalRecording(encoded.buffer)
      #endif
      (device, threads, dispatches) = (stream.device, encoded.threads, encoded.dispatches)
      (self.program, memory) = (program, copy)
    } catch {
      copy.deallocate()
      if error is Failure { throw error }
      throw Failure(of: error)
    }
  }

  deinit { memory.deallocate() }

  /// One more command buffer of these commands.
  func encode(on stream: GPUStream) throws -> EncodedProgram {
    guard stream.device === device else {
      throw Failure.value("the stream is of \(stream.device.raw.name), the recording of \(device.raw.name)")
    }
    #if os(Linux)
      guard let buffer = recorded.makeCommandBuffer(on: stream.queue) else {
        throw Failure.device("\(device.raw.name) makes no command buffer")
      }
      return EncodedProgram(buffer, threads: threads, dispatches: dispatches, objects: [self])
    #else
      return try program.encode(on: stream)
    #endif
  }
}

@_cdecl("mf_gpu_record")
public func gpuRecord(
  _ stream: UInt32, _ program: UnsafePointer<UInt8>?, _ bytes: Double, _ out: UnsafeMutablePointer<UInt32>,
  _ call: Call
) -> Int32 {
  call.run("record") {
    let stream = try HandleTable.shared.find(stream, GPUStream.self)
    let bytes = UnsafeRawBufferPointer(start: try given(program), count: try count(bytes, "bytes"))
    out.pointee = try HandleTable.shared.insert(try GPURecording(bytes, stream))
  }
}

@_cdecl("mf_gpu_replay")
public func gpuReplay(
  _ stream: UInt32, _ recording: UInt32, _ out: UnsafeMutablePointer<UInt32>, _ call: Call
) -> Int32 {
  call.run("replay") {
    let stream = try HandleTable.shared.find(stream, GPUStream.self)
    let recording = try HandleTable.shared.find(recording, GPURecording.self)
    out.pointee = try stream.commit(try recording.encode(on: stream))
  }
}
