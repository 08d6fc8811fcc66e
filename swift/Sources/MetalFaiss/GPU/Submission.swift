import CMetalFaiss
import Metal

/// A command buffer under way, with all that it uses.
final class Submission: @unchecked Sendable {
  let gate = Gate<mf_gpu_times>()
  private let work: EncodedProgram
  private var committed = 0.0

  init(_ work: EncodedProgram) { self.work = work }

  func commit() {
    // The closure keeps this object, and so buffers and pipelines, until all is done.
    work.buffer.addCompletedHandler { buffer in self.finish(buffer) }
    committed = now()
    work.buffer.commit()
  }

  private func finish(_ buffer: any MTLCommandBuffer) {
    let seconds = now() - committed
    if let error = buffer.error {
      gate.open(.failure(Failure(of: error)))
    } else {
      gate.open(
        .success(
          mf_gpu_times(
            done: 1, gpu_seconds: buffer.gpuEndTime - buffer.gpuStartTime, cpu_seconds: seconds,
            threads: work.threads, dispatches: Double(work.dispatches))))
    }
    work.release()
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
    let submission = Submission(try Program(bytes, stream).encode())
    out.pointee = try HandleTable.shared.insert(submission)
    submission.commit()
  }
}

@_cdecl("mf_gpu_wait")
public func gpuWait(_ submission: UInt32, _ seconds: Double, _ times: UnsafeMutablePointer<mf_gpu_times>, _ call: Call)
  -> Int32
{
  call.run("run the command buffer") {
    let submission = try HandleTable.shared.find(submission, Submission.self)
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
