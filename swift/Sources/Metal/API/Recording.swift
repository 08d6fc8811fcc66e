// Command buffers that are committed again and again. Not in Apple's API: its indirect command buffers hold
// neither copies nor products nor bytes. A program for both encodes again where Metal is Apple's.

/// The commands of one command buffer, checked, with all that they use.
public final class MetalRecording: Sendable {
  let owner: DeviceObject
  let recorded: RecordedCommands
  let label: String?

  /// Takes what a command buffer holds; the command buffer itself is to be dropped. Throws what its commit
  /// would have failed with.
  public init(_ commandBuffer: any MTLCommandBuffer) throws {
    guard let buffer = commandBuffer as? CommandBufferObject else {
      throw MTLCommandBufferError(.internal, "Cannot record a command buffer of another kind of device")
    }
    owner = buffer.queue.owner
    label = buffer.label
    recorded = RecordedCommands(try buffer.recordedCommands())
  }

  /// Commands that are encoded into it run after what was recorded. Waits for room, as others do.
  public func makeCommandBuffer(on queue: any MTLCommandQueue) -> (any MTLCommandBuffer)? {
    guard let queue = queue as? QueueObject, queue.owner === owner else { return nil }
    return queue.makeCommandBuffer(replaying: self)
  }
}
