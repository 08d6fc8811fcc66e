import CMetalFaiss
import Metal

@_cdecl("mf_gpu_capture")
public func gpuCapture(_ device: UInt32, _ path: UnsafePointer<UInt8>, _ call: Call) -> Int32 {
  call.run("capture GPU work") {
    let device = try HandleTable.shared.find(device, GPUDevice.self)
    #if canImport(ObjectiveC)
      let manager = MTLCaptureManager.shared()
      let path = String(cString: path)
      if path.isEmpty {
        guard manager.isCapturing else { throw Failure.device("no capture is under way") }
        return manager.stopCapture()
      }
      guard manager.supportsDestination(.gpuTraceDocument) else {
        throw Failure.device("set MTL_CAPTURE_ENABLED=1 before the process starts")
      }
      let descriptor = MTLCaptureDescriptor()
      descriptor.captureObject = device.raw
      descriptor.destination = .gpuTraceDocument
      descriptor.outputURL = URL(fileURLWithPath: path)
      do {
        try manager.startCapture(with: descriptor)
      } catch {
        throw Failure.device(text(of: error))
      }
    #else
      throw Failure.device("\(device.engine) devices have no frame capture; Apple's Metal has")
    #endif
  }
}
