import CMetalFaiss
import Metal

/// What mf_gpu_wait waits for.
class Awaited: @unchecked Sendable {
  let gate = Gate<mf_gpu_times>()
}

/// A command buffer under way, with all that it uses.
final class Submission: Awaited, @unchecked Sendable {
  private let work: EncodedProgram
  private var committed = 0.0

  init(_ work: EncodedProgram) { self.work = work }

  /// `then` is told whether it failed, before anybody who waits.
  func commit(then: @escaping @Sendable (Result<mf_gpu_times, any Error>) -> Void) {
    // The closure keeps this object, and so buffers and pipelines, until all is done.
    work.buffer.addCompletedHandler { buffer in
      let result = self.result(buffer)
      then(result)
      self.gate.open(result)
      self.work.release()
    }
    committed = now()
    work.buffer.commit()
  }

  private func result(_ buffer: any MTLCommandBuffer) -> Result<mf_gpu_times, any Error> {
    let seconds = now() - committed
    if let error = buffer.error { return .failure(Failure(of: error)) }
    let (start, end) = (buffer.gpuStartTime, buffer.gpuEndTime)
    return .success(
      mf_gpu_times(
        done: 1, gpu_seconds: end - start, cpu_seconds: seconds, threads: work.threads,
        dispatches: Double(work.dispatches), gpu_start: start, gpu_end: end))
  }
}

extension Failure {
  /// Why a command buffer failed.
  init(of error: any Error) {
    let isMemory = (error as? MTLCommandBufferError)?.code == .outOfMemory
    self.init(status: isMemory ? MF_MEMORY : MF_DEVICE, message: text(of: error))
  }
}

private func now() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}

@_cdecl("mf_gpu_commit")
public func gpuCommit(
  _ stream: UInt32, _ program: UnsafePointer<UInt8>?, _ bytes: Double, _ out: UnsafeMutablePointer<UInt32>,
  _ call: Call
) -> Int32 {
  call.run("commit") {
    let stream = try HandleTable.shared.find(stream, GPUStream.self)
    let bytes = UnsafeRawBufferPointer(start: try given(program), count: try count(bytes, "bytes"))
    out.pointee = try stream.commit(try Program(bytes, stream).encode(on: stream))
  }
}

@_cdecl("mf_gpu_wait")
public func gpuWait(_ submission: UInt32, _ seconds: Double, _ times: UnsafeMutablePointer<mf_gpu_times>, _ call: Call)
  -> Int32
{
  call.run("run the command buffer") {
    let submission = try HandleTable.shared.find(submission, Awaited.self)
    times.pointee = mf_gpu_times()
    var left = seconds
    repeat {
      // In slices, to notice that the caller gave up.
      if let result = submission.gate.wait(min(left, 0.05)) {
        times.pointee = try result.get()
        return
      }
      try call.throwIfCancelled()
      left -= 0.05
    } while left > 0
  }
}
