import CPUKernels

/// Where products pack their operands: kept for the next one, as fresh pages cost more than a small product.
final class Scratch: @unchecked Sendable {
  /// What rests here is nobody's: little, and for few calls at a time.
  private static let restingBytes = 8 << 20
  private static let resting = 2

  nonisolated(unsafe) private static var shelf: [Memory<Float>] = []
  private static let lock = Mutex()

  /// Calls body with room for so many floats, on a line of 64 bytes.
  static func with<Result>(_ floats: Int, _ body: (UnsafeMutablePointer<Float>) throws -> Result) throws -> Result {
    lock.acquire()
    var memory = shelf.popLast() ?? Memory<Float>()
    lock.release()
    defer { giveBack(&memory) }
    try memory.reserve(max(floats, 1), used: 0)
    return try body(memory.start)
  }

  private static func giveBack(_ memory: inout Memory<Float>) {
    lock.acquire()
    let keeps = shelf.count < resting && memory.capacity * 4 <= restingBytes
    if keeps { shelf.append(memory) }
    lock.release()
    if !keeps { memory.release() }
  }
}
