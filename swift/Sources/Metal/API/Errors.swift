// Errors as Apple's importer makes them of error enumerations: a struct with a code, and the codes as
// static members that `catch` can match.

public let MTLLibraryErrorDomain = "MTLLibraryErrorDomain"
public let MTLCommandBufferErrorDomain = "MTLCommandBufferErrorDomain"
public let MTLCaptureErrorDomain = "MTLCaptureErrorDomain"

/// What the error types of this module share.
public protocol MetalError: Error, CustomStringConvertible {
  associatedtype Code: MetalErrorCode where Code.ErrorType == Self
  static var errorDomain: String { get }
  var code: Code { get }
  /// The whole message; of a compilation, the log.
  var localizedDescription: String { get }
}

public protocol MetalErrorCode: RawRepresentable, Hashable, Sendable where RawValue: FixedWidthInteger {
  associatedtype ErrorType: MetalError where ErrorType.Code == Self
}

extension MetalError {
  public var errorCode: Int { Int(code.rawValue) }
  public var errorUserInfo: [String: Any] { ["NSLocalizedDescription": localizedDescription] }
  public var userInfo: [String: Any] { errorUserInfo }
  public var description: String { localizedDescription }
  public var _domain: String { Self.errorDomain }
  public var _code: Int { errorCode }
}

extension MetalErrorCode {
  public static func ~= (match: Self, error: any Error) -> Bool { (error as? ErrorType)?.code == match }
}

extension Error {
  /// On Apple, Metal brings Foundation along. Where Foundation is imported too, its own is preferred.
  @_disfavoredOverload public var localizedDescription: String {
    (self as? any MetalError)?.localizedDescription ?? String(describing: self)
  }
}

public struct MTLLibraryError: MetalError {
  public enum Code: UInt, MetalErrorCode {
    public typealias ErrorType = MTLLibraryError
    case unsupported = 1
    case `internal` = 2
    case compileFailure = 3
    case compileWarning = 4
    case functionNotFound = 5
    case fileNotFound = 6
  }

  public static var errorDomain: String { MTLLibraryErrorDomain }
  public static var unsupported: Code { .unsupported }
  public static var `internal`: Code { .internal }
  public static var compileFailure: Code { .compileFailure }
  public static var compileWarning: Code { .compileWarning }
  public static var functionNotFound: Code { .functionNotFound }
  public static var fileNotFound: Code { .fileNotFound }

  public let code: Code
  public let localizedDescription: String

  init(_ code: Code, _ message: String) {
    self.code = code
    localizedDescription = message
  }

  /// What an engine or the translator threw, as the API throws it.
  init(_ error: any Error) {
    switch error {
    case let failure as CompileFailure: self.init(.compileFailure, failure.log)
    case let error as EngineError: self.init(.internal, error.message)
    case let error as MTLLibraryError: self = error
    default: self.init(.internal, "\(error)")
    }
  }
}

public struct MTLCommandBufferError: MetalError {
  public enum Code: UInt, MetalErrorCode {
    public typealias ErrorType = MTLCommandBufferError
    case none = 0
    case `internal` = 1
    case timeout = 2
    case pageFault = 3
    case accessRevoked = 4
    case notPermitted = 7
    case outOfMemory = 8
    case invalidResource = 9
    case memoryless = 10
    case deviceRemoved = 11
    case stackOverflow = 12

    public static var blacklisted: Code { .accessRevoked }
  }

  public static var errorDomain: String { MTLCommandBufferErrorDomain }
  public static var none: Code { .none }
  public static var `internal`: Code { .internal }
  public static var timeout: Code { .timeout }
  public static var pageFault: Code { .pageFault }
  public static var accessRevoked: Code { .accessRevoked }
  public static var notPermitted: Code { .notPermitted }
  public static var outOfMemory: Code { .outOfMemory }
  public static var invalidResource: Code { .invalidResource }
  public static var memoryless: Code { .memoryless }
  public static var deviceRemoved: Code { .deviceRemoved }
  public static var stackOverflow: Code { .stackOverflow }

  public let code: Code
  public let localizedDescription: String

  init(_ code: Code, _ message: String) {
    self.code = code
    localizedDescription = message
  }

  init(_ error: EngineError) {
    switch error {
    case .outOfMemory(let text): self.init(.outOfMemory, text)
    case .invalid(let text): self.init(.pageFault, text)
    case .deviceLost(let text): self.init(.deviceRemoved, text)
    case .failed(let text): self.init(.internal, text)
    }
  }
}

public struct MTLCaptureError: MetalError {
  public enum Code: Int, MetalErrorCode {
    public typealias ErrorType = MTLCaptureError
    case notSupported = 1
    case alreadyCapturing = 2
    case invalidDescriptor = 3
  }

  public static var errorDomain: String { MTLCaptureErrorDomain }
  public static var notSupported: Code { .notSupported }
  public static var alreadyCapturing: Code { .alreadyCapturing }
  public static var invalidDescriptor: Code { .invalidDescriptor }

  public let code: Code
  public let localizedDescription: String

  init(_ code: Code, _ message: String) {
    self.code = code
    localizedDescription = message
  }
}
