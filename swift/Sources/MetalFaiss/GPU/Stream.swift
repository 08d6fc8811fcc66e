import CMetalFaiss
import Metal

/// Runs command buffers one after the other.
final class GPUStream: @unchecked Sendable {
  let device: GPUDevice
  let queue: any MTLCommandQueue
  let progress = Progress()

  init(_ device: GPUDevice, label: String) throws {
    // Room for many under way: beyond it, a commit would block.
    guard let queue = device.raw.makeCommandQueue(maxCommandBufferCount: 1024) else {
      throw Failure.device("\(device.raw.name) makes no command queue")
    }
    if !label.isEmpty { queue.label = label }
    self.device = device
    self.queue = queue
  }

  /// Returns the handle of its submission.
  func commit(_ work: EncodedProgram) throws -> UInt32 {
    let submission = Submission(work)
    let handle = try HandleTable.shared.insert(submission)
    progress.begin()
    submission.commit { [progress] in progress.end($0) }
    return handle
  }
}

/// A stream's command buffers under way, and who waits for them.
final class Progress: @unchecked Sendable {
  /// Done when all is that was under way when it was made.
  final class Mark: Awaited, @unchecked Sendable {
    fileprivate var failure: (any Error)?
    fileprivate let last: Int

    fileprivate init(_ last: Int) { self.last = last }
  }

  private let lock = Mutex()
  private var begun = 0
  private var ended = 0
  private var marks: [Mark] = []

  func begin() {
    lock.acquire()
    begun += 1
    lock.release()
  }

  /// In the order of the commits.
  func end(_ result: Result<mf_gpu_times, any Error>) {
    lock.acquire()
    ended += 1
    if case .failure(let why) = result {
      for mark in marks where mark.failure == nil { mark.failure = why }
    }
    let reached = marks.filter { $0.last <= ended }
    marks.removeAll { $0.last <= ended }
    lock.release()
    for mark in reached { mark.open() }
  }

  func mark() -> Mark {
    lock.acquire()
    let mark = Mark(begun)
    let isReached = ended >= begun
    if !isReached { marks.append(mark) }
    lock.release()
    if isReached { mark.open() }
    return mark
  }
}

extension Progress.Mark {
  fileprivate func open() {
    var done = mf_gpu_times()
    done.done = 1
    gate.open(failure.map { .failure($0) } ?? .success(done))
  }
}

/// A counter that streams signal and wait for.
final class GPUEvent: @unchecked Sendable {
  let device: GPUDevice
  let raw: any MTLSharedEvent

  init(_ device: GPUDevice) throws {
    guard let event = device.raw.makeSharedEvent() else { throw Failure.device("\(device.raw.name) makes no event") }
    self.device = device
    raw = event
  }
}

@_cdecl("mf_gpu_stream_create")
public func gpuStreamCreate(
  _ device: UInt32, _ label: UnsafePointer<UInt8>, _ out: UnsafeMutablePointer<UInt32>, _ call: Call
) -> Int32 {
  call.run("create a stream") {
    let device = try HandleTable.shared.find(device, GPUDevice.self)
    out.pointee = try HandleTable.shared.insert(try GPUStream(device, label: String(cString: label)))
  }
}

@_cdecl("mf_gpu_stream_mark")
public func gpuStreamMark(_ stream: UInt32, _ out: UnsafeMutablePointer<UInt32>, _ call: Call) -> Int32 {
  call.run("wait for a stream") {
    let stream = try HandleTable.shared.find(stream, GPUStream.self)
    out.pointee = try HandleTable.shared.insert(stream.progress.mark())
  }
}

@_cdecl("mf_gpu_event_create")
public func gpuEventCreate(_ device: UInt32, _ out: UnsafeMutablePointer<UInt32>, _ call: Call) -> Int32 {
  call.run("create an event") {
    let device = try HandleTable.shared.find(device, GPUDevice.self)
    out.pointee = try HandleTable.shared.insert(try GPUEvent(device))
  }
}

@_cdecl("mf_gpu_event_get")
public func gpuEventGet(_ event: UInt32, _ value: UnsafeMutablePointer<Double>, _ call: Call) -> Int32 {
  call.run("read an event") {
    value.pointee = Double(try HandleTable.shared.find(event, GPUEvent.self).raw.signaledValue)
  }
}

@_cdecl("mf_gpu_event_set")
public func gpuEventSet(_ event: UInt32, _ value: Double, _ call: Call) -> Int32 {
  call.run("signal an event") {
    let event = try HandleTable.shared.find(event, GPUEvent.self)
    event.raw.signaledValue = UInt64(try count(value, "value"))
  }
}
