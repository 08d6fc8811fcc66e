import CMetalFaiss
import Metal

/// Runs command buffers one after the other.
final class GPUStream: @unchecked Sendable {
  let device: GPUDevice
  let queue: any MTLCommandQueue

  init(_ device: GPUDevice, label: String) throws {
    // Room for many under way: beyond it, a commit would block.
    guard let queue = device.raw.makeCommandQueue(maxCommandBufferCount: 1024) else {
      throw Failure.device("\(device.raw.name) makes no command queue")
    }
    if !label.isEmpty { queue.label = label }
    self.device = device
    self.queue = queue
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
