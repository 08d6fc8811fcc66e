public protocol MTLCommandEncoder: AnyObject {
  var label: String? { get set }
  var device: any MTLDevice { get }
  func endEncoding()
  func insertDebugSignpost(_ string: String)
  func pushDebugGroup(_ string: String)
  func popDebugGroup()
}

/// What the encoders share.
class EncoderObject {
  let buffer: CommandBufferObject
  private let kind: String
  private var hasEnded = false
  private var debugGroups: [String] = []
  private var knownPlace: String?

  var label: String? {
    didSet {
      knownPlace = nil
      if !hasEnded { buffer.openEncoder = described }
    }
  }

  init(_ buffer: CommandBufferObject, _ kind: String) {
    self.buffer = buffer
    self.kind = kind
    buffer.openEncoder = described
  }

  var owner: DeviceObject { buffer.queue.owner }
  var device: any MTLDevice { owner }
  var described: String { label.map { "\(kind) command encoder \"\($0)\"" } ?? "a \(kind) command encoder" }

  /// Where a command was encoded, as far as labels tell. What the command buffer is called counts as it was when
  /// this encoder, or its groups, last got a name.
  var place: String {
    if let knownPlace { return knownPlace }
    let names = [buffer.label].compactMap { $0 } + buffer.debugGroups + [label].compactMap { $0 } + debugGroups
    let place = names.joined(separator: "/")
    knownPlace = place
    return place
  }

  func endEncoding() {
    if hasEnded { return fail(.internal, "Cannot end \(described): it was ended before") }
    if !debugGroups.isEmpty { fail(.internal, "Cannot end \(described): debug group \"\(debugGroups.last!)\" is open") }
    hasEnded = true
    buffer.openEncoder = nil
  }

  func insertDebugSignpost(_ string: String) {}

  func pushDebugGroup(_ string: String) {
    debugGroups.append(string)
    knownPlace = nil
  }

  func popDebugGroup() {
    knownPlace = nil
    if debugGroups.popLast() == nil { fail(.internal, "Cannot pop a debug group of \(described): none is open") }
  }

  func fail(_ code: MTLCommandBufferError.Code, _ message: String) {
    let place = place
    buffer.fail(code, place.isEmpty ? message : "\(message) (in \(place))")
  }

  /// Whether commands can still be encoded.
  func isOpen(_ doing: @autoclosure () -> String) -> Bool {
    if !hasEnded { return true }
    fail(.internal, "Cannot \(doing()): \(described) was ended before")
    return false
  }

  /// A buffer of this device.
  func usable(_ buffer: any MTLResource, _ doing: @autoclosure () -> String) -> BufferObject? {
    guard let own = buffer as? BufferObject, own.device === owner else {
      fail(.invalidResource, "Cannot \(doing()): the buffer belongs to \(buffer.device.name), the encoder to \(device.name)")
      return nil
    }
    return own
  }

  // Commands of a queue run one after the other, so what a fence or a barrier orders is in order already.
  func updateFence(_ fence: any MTLFence) { _ = isOpen("update a fence") }
  func waitForFence(_ fence: any MTLFence) { _ = isOpen("wait for a fence") }
}
