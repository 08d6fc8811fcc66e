import Dispatch
import Metal

// A producer and a consumer on queues of their own, kept in step by a shared event.

private let source = """
  #include <metal_stdlib>
  using namespace metal;
  kernel void produce(device uint *items, constant uint &round, uint i [[thread_position_in_grid]]) {
      items[i] = round * 1000 + i;
  }
  kernel void consume(device const uint *items, device uint *sums, uint i [[thread_position_in_grid]]) {
      sums[i] += items[i];
  }
  """

func produceAndConsume(device: MTLDevice, count: Int, rounds: Int) throws -> (sums: [UInt32], heard: [UInt64]) {
  let library = try device.makeLibrary(source: source, options: nil)
  let produce = try device.makeComputePipelineState(function: library.makeFunction(name: "produce")!)
  let consume = try device.makeComputePipelineState(function: library.makeFunction(name: "consume")!)
  let producer = device.makeCommandQueue()!
  let consumer = device.makeCommandQueue(maxCommandBufferCount: 8)!
  let event = device.makeSharedEvent()!
  event.label = "rounds"
  let items = device.makeBuffer(length: count * 4, options: .storageModePrivate)!
  let sums = device.makeBuffer(length: count * 4)!
  sums.contents().initializeMemory(as: UInt8.self, repeating: 0, count: count * 4)

  let listener = MTLSharedEventListener(dispatchQueue: DispatchQueue(label: "events"))
  let heard = Heard()
  let last = DispatchSemaphore(value: 0)
  event.notify(listener, atValue: UInt64(2 * rounds)) { event, value in
    heard.values.append(value)
    last.signal()
  }

  func encode(_ commands: MTLCommandBuffer, _ state: MTLComputePipelineState, _ buffers: [MTLBuffer?], _ round: Int?) {
    let encoder = commands.makeComputeCommandEncoder()!
    encoder.setComputePipelineState(state)
    encoder.setBuffers(buffers, offsets: buffers.map { _ in 0 }, range: 0..<buffers.count)
    if var round = round.map(UInt32.init) { encoder.setBytes(&round, length: 4, index: 1) }
    encoder.dispatchThreads(MTLSizeMake(count, 1, 1), threadsPerThreadgroup: MTLSizeMake(64, 1, 1))
    encoder.endEncoding()
  }

  // The consumer first: it has to wait.
  for round in 0..<rounds {
    let eat = consumer.makeCommandBuffer()!
    eat.encodeWaitForEvent(event, value: UInt64(2 * round + 1))
    encode(eat, consume, [items, sums], nil)
    eat.encodeSignalEvent(event, value: UInt64(2 * round + 2))
    eat.commit()

    let make = producer.makeCommandBuffer()!
    make.encodeWaitForEvent(event, value: UInt64(2 * round))
    encode(make, produce, [items], round)
    make.encodeSignalEvent(event, value: UInt64(2 * round + 1))
    make.commit()
  }
  last.wait()
  let result = sums.contents().assumingMemoryBound(to: UInt32.self)
  return ((0..<count).map { result[$0] }, heard.values)
}

private final class Heard: @unchecked Sendable {
  var values: [UInt64] = []
}
