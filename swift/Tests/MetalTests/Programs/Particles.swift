import Metal

// Structs with vectors, by setBytes and in buffers, as simulations pass them; several dispatches a command buffer.

private let source = """
  #include <metal_stdlib>
  using namespace metal;

  struct Particle {
      float4 position;
      float3 velocity;
      packed_float3 color;
      uint steps;
  };

  struct Uniforms {
      float3 gravity;
      float deltaTime;
      uint count;
  };

  kernel void step(device Particle *particles [[buffer(0)]],
                   constant Uniforms &uniforms [[buffer(1)]],
                   uint id [[thread_position_in_grid]]) {
      if (id >= uniforms.count) return;
      Particle p = particles[id];
      p.velocity += uniforms.gravity * uniforms.deltaTime;
      p.position.xyz += p.velocity * uniforms.deltaTime;
      p.color = packed_float3(saturate(p.position.yyy));
      p.steps += 1;
      particles[id] = p;
  }
  """

struct Particle {
  var position: SIMD4<Float>
  var velocity: SIMD3<Float>
  var color: (Float, Float, Float)
  var steps: UInt32
}

struct Uniforms {
  var gravity: SIMD3<Float>
  var deltaTime: Float
  var count: UInt32
}

struct Simulation {
  let device: any MTLDevice
  let pipeline: any MTLComputePipelineState

  init(device: any MTLDevice) throws {
    self.device = device
    let library = try device.makeLibrary(source: source, options: nil)
    pipeline = try device.makeComputePipelineState(function: library.makeFunction(name: "step")!)
  }

  func run(_ particles: [Particle], steps: Int, _ uniforms: Uniforms) async throws -> [Particle] {
    let length = particles.count * MemoryLayout<Particle>.stride
    let buffer = device.makeBuffer(bytes: particles, length: length)!
    let commandBuffer = device.makeCommandQueue()!.makeCommandBuffer()!
    let encoder = commandBuffer.makeComputeCommandEncoder()!
    encoder.setComputePipelineState(pipeline)
    encoder.setBuffer(buffer, offset: 0, index: 0)
    withUnsafeBytes(of: uniforms) { encoder.setBytes($0.baseAddress!, length: MemoryLayout<Uniforms>.stride, index: 1) }
    for _ in 0..<steps {
      let width = (particles.count + 31) / 32
      encoder.dispatchThreadgroups(MTLSizeMake(width, 1, 1), threadsPerThreadgroup: MTLSizeMake(32, 1, 1))
      encoder.memoryBarrier(resources: [buffer])
    }
    encoder.endEncoding()
    commandBuffer.commit()
    await commandBuffer.completed()
    if let error = commandBuffer.error { throw error }
    let result = buffer.contents().bindMemory(to: Particle.self, capacity: particles.count)
    return Array(UnsafeBufferPointer(start: result, count: particles.count))
  }
}
