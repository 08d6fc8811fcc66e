// What measurements are kept with. Not in Apple's API.

/// What an engine knows of a device; nil is unknown.
public struct MetalDeviceFacts: Sendable {
  /// Version of the driver.
  public var driver: String?
  /// Cores of the GPU: CUDA's streaming multiprocessors.
  public var cores: Int?
  public var l2Bytes: Int?
  /// The highest clock of the cores.
  public var clockMHz: Int?
}

public func metalDeviceFacts(_ device: any MTLDevice) -> MetalDeviceFacts {
  (device as? DeviceObject)?.engine.facts ?? MetalDeviceFacts()
}

/// Versions of the libraries behind a device, by name. Opens those that are not open yet.
public func metalDeviceVersions(_ device: any MTLDevice) -> [(name: String, version: String)] {
  (device as? DeviceObject)?.engine.versions() ?? []
}
