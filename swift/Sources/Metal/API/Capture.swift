// Frame capture: there is no tool here that could show one.

public enum MTLCaptureDestination: Int, Sendable {
  case developerTools = 1
  case gpuTraceDocument = 2
}

open class MTLCaptureDescriptor: @unchecked Sendable {
  public var captureObject: Any?
  public var destination: MTLCaptureDestination = .developerTools
  /// A URL.
  public var outputURL: Any?
  public init() {}
}

public protocol MTLCaptureScope: AnyObject, Sendable {
  var label: String? { get set }
  var device: any MTLDevice { get }
  var commandQueue: (any MTLCommandQueue)? { get }
  func begin()
  func end()
}

public final class MTLCaptureManager: @unchecked Sendable {
  private static let only = MTLCaptureManager()
  public class func shared() -> MTLCaptureManager { only }

  public var defaultCaptureScope: (any MTLCaptureScope)?
  public var isCapturing: Bool { false }

  public func supportsDestination(_ destination: MTLCaptureDestination) -> Bool { false }

  public func startCapture(with descriptor: MTLCaptureDescriptor) throws {
    throw MTLCaptureError(.notSupported, "Cannot start a capture: frame capture exists on Apple's GPUs alone")
  }

  public func stopCapture() {}

  public func makeCaptureScope(device: any MTLDevice) -> any MTLCaptureScope { CaptureScope(device, nil) }
  public func makeCaptureScope(commandQueue: any MTLCommandQueue) -> any MTLCaptureScope {
    CaptureScope(commandQueue.device, commandQueue)
  }
}

private final class CaptureScope: MTLCaptureScope, @unchecked Sendable {
  let device: any MTLDevice
  let commandQueue: (any MTLCommandQueue)?
  var label: String?

  init(_ device: any MTLDevice, _ commandQueue: (any MTLCommandQueue)?) {
    self.device = device
    self.commandQueue = commandQueue
  }

  func begin() {}
  func end() {}
}
