// Through Foundation's own `localizedDescription`, too, Metal's errors say what they say. Metal itself
// stays free of Foundation, which is large.
import Foundation
import Metal

extension MTLLibraryError: LocalizedError {
  public var errorDescription: String? { localizedDescription }
}

extension MTLCommandBufferError: LocalizedError {
  public var errorDescription: String? { localizedDescription }
}

extension MTLCaptureError: LocalizedError {
  public var errorDescription: String? { localizedDescription }
}
