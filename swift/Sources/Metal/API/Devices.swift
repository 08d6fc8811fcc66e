// Which devices there are. CUDA is only looked for when a caller may get one.

private enum Devices {
  static let cuda: [DeviceObject] = cudaDevices().map(DeviceObject.init)
  static let emulator = DeviceObject(emulatorEngine())

  static var all: [DeviceObject] { cuda + [emulator] }

  static var `default`: DeviceObject? {
    switch getenv("METALFAISS_GPU").map({ String(cString: $0) }) ?? "" {
    case "emulator": emulator
    case "cuda", "": cuda.first
    default: nil
    }
  }
}

/// The device that METALFAISS_GPU names, `cuda` or `emulator`; without it the first NVIDIA GPU. The emulator
/// is never chosen by itself.
public func MTLCreateSystemDefaultDevice() -> (any MTLDevice)? { Devices.default }

/// NVIDIA GPUs, and the emulator last.
public func MTLCopyAllDevices() -> [any MTLDevice] { Devices.all }

/// What runs a device's kernels: "cuda" or "emulator". Not in Apple's API.
public func metalEngineName(_ device: any MTLDevice) -> String { (device as? DeviceObject)?.engine.name ?? "metal" }
