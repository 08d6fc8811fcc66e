import Metal
import MetalPerformanceShaders

// Products by Metal Performance Shaders.

func product(
  device: MTLDevice, _ a: [Float], _ b: [Float], rows: Int, columns: Int, inner: Int, transposeRight: Bool, alpha: Double
) -> [Float] {
  let commandQueue = device.makeCommandQueue()!
  func matrix(_ values: [Float]?, _ rows: Int, _ columns: Int) -> MPSMatrix {
    let rowBytes = MPSMatrixDescriptor.rowBytes(forColumns: columns, dataType: .float32)
    let descriptor = MPSMatrixDescriptor(rows: rows, columns: columns, rowBytes: rowBytes, dataType: .float32)
    let buffer = device.makeBuffer(length: rows * rowBytes, options: .storageModeShared)!
    if let values {
      for row in 0..<rows {
        values.withUnsafeBytes {
          (buffer.contents() + row * rowBytes).copyMemory(from: $0.baseAddress! + row * columns * 4, byteCount: columns * 4)
        }
      }
    }
    return MPSMatrix(buffer: buffer, descriptor: descriptor)
  }
  let left = matrix(a, rows, inner)
  let right = transposeRight ? matrix(b, columns, inner) : matrix(b, inner, columns)
  let result = matrix(nil, rows, columns)
  let multiplication = MPSMatrixMultiplication(
    device: device, transposeLeft: false, transposeRight: transposeRight, resultRows: rows, resultColumns: columns,
    interiorColumns: inner, alpha: alpha, beta: 0)
  let commandBuffer = commandQueue.makeCommandBuffer()!
  multiplication.encode(commandBuffer: commandBuffer, leftMatrix: left, rightMatrix: right, resultMatrix: result)
  commandBuffer.commit()
  commandBuffer.waitUntilCompleted()
  return (0..<rows).flatMap { row in
    let start = (result.data.contents() + row * result.rowBytes).assumingMemoryBound(to: Float.self)
    return (0..<columns).map { start[$0] }
  }
}

/// matrix · vector, in halves.
func halfProduct(device: MTLDevice, _ matrix: [UInt16], _ vector: [UInt16]) -> [UInt16] {
  let columns = vector.count
  let rows = matrix.count / columns
  let input = MPSMatrix(
    buffer: device.makeBuffer(bytes: matrix, length: matrix.count * 2)!,
    descriptor: MPSMatrixDescriptor(rows: rows, columns: columns, rowBytes: columns * 2, dataType: .float16))
  let factor = MPSVector(
    buffer: device.makeBuffer(bytes: vector, length: columns * 2)!,
    descriptor: MPSVectorDescriptor(length: columns, dataType: .float16))
  let result = MPSVector(
    buffer: device.makeBuffer(length: rows * 2)!, descriptor: MPSVectorDescriptor(length: rows, dataType: .float16))
  let kernel = MPSMatrixVectorMultiplication(device: device, rows: rows, columns: columns)
  let commands = device.makeCommandQueue()!.makeCommandBuffer()!
  kernel.encode(commandBuffer: commands, inputMatrix: input, inputVector: factor, resultVector: result)
  commands.commit()
  commands.waitUntilCompleted()
  let start = result.data.contents().assumingMemoryBound(to: UInt16.self)
  return (0..<rows).map { start[$0] }
}
