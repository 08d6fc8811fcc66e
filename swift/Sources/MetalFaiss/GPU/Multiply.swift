import CMetalFaiss
import Metal
import MetalPerformanceShaders

extension Program {
  /// One matrix of a product, as it is stored.
  private struct Matrix {
    let buffer: GPUBuffer
    let offset: Int
    let rows: Int
    let columns: Int
    let rowBytes: Int
    let type: MPSDataType

    private var elementBytes: Int { type == .float16 ? 2 : 4 }
    private var end: Int { offset + (rows - 1) * rowBytes + columns * elementBytes }
    var isDense: Bool { columns == 1 ? rowBytes == elementBytes : rows == 1 }

    /// Whether an element lies in both. Windows into rows of one length may lie beside each other.
    func overlaps(_ other: Matrix) -> Bool {
      guard buffer === other.buffer, offset < other.end, other.offset < end else { return false }
      guard rowBytes == other.rowBytes else { return true }
      let (first, second) = (offset % rowBytes, other.offset % rowBytes)
      let (width, otherWidth) = (columns * elementBytes, other.columns * other.elementBytes)
      let isApart = first + width <= second || second + otherWidth <= first
      return !isApart || max(first + width, second + otherWidth) > rowBytes
    }

    var matrix: MPSMatrix {
      MPSMatrix(
        buffer: buffer.raw, offset: offset,
        descriptor: MPSMatrixDescriptor(rows: rows, columns: columns, rowBytes: rowBytes, dataType: type))
    }

    /// Its one row or column.
    var vector: MPSVector {
      MPSVector(buffer: buffer.raw, offset: offset, descriptor: MPSVectorDescriptor(length: rows * columns, dataType: type))
    }
  }

  /// Encodes a product; returns the elements of its result.
  func multiply(_ command: mf_gpu_multiply, into commands: any MTLCommandBuffer) throws -> Double {
    let size = try (count(command.m, "m", atLeast: 1), count(command.n, "n", atLeast: 1), count(command.k, "k", atLeast: 1))
    let (m, n, k) = size
    guard command.flags < 16 else { throw Failure.value("flags must be below 16, not \(command.flags)") }
    let (transposeA, transposeB) = (command.flags & 1 != 0, command.flags & 2 != 0)
    let (type, resultType): (MPSDataType, MPSDataType) =
      (command.flags & 4 != 0 ? .float16 : .float32, command.flags & 8 != 0 ? .float16 : .float32)
    guard type == .float16 || resultType == .float32 else {
      throw Failure.shape("c can be float16 only where a and b are")
    }
    let a = try matrix(
      "a", command.a, command.a_offset, command.a_line, transposeA ? (k, m) : (m, k), type)
    let b = try matrix(
      "b", command.b, command.b_offset, command.b_line, transposeB ? (n, k) : (k, n), type)
    let c = try matrix("c", command.c, command.c_offset, command.c_line, (m, n), resultType)
    for (name, factor) in [("a", a), ("b", b)] where c.overlaps(factor) {
      throw Failure.value("c overlaps \(name)")
    }
    let device = stream.device.raw
    let (alpha, beta) = (command.alpha, command.beta)
    if n == 1, type == resultType, b.isDense, c.isDense {
      MPSMatrixVectorMultiplication(
        device: device, transpose: transposeA, rows: m, columns: k, alpha: alpha, beta: beta
      ).encode(commandBuffer: commands, inputMatrix: a.matrix, inputVector: b.vector, resultVector: c.vector)
    } else if m == 1, type == resultType, a.isDense, c.isDense {
      // cᵀ = op(b)ᵀ aᵀ
      MPSMatrixVectorMultiplication(
        device: device, transpose: !transposeB, rows: n, columns: k, alpha: alpha, beta: beta
      ).encode(commandBuffer: commands, inputMatrix: b.matrix, inputVector: a.vector, resultVector: c.vector)
    } else {
      MPSMatrixMultiplication(
        device: device, transposeLeft: transposeA, transposeRight: transposeB, resultRows: m, resultColumns: n,
        interiorColumns: k, alpha: alpha, beta: beta
      ).encode(commandBuffer: commands, leftMatrix: a.matrix, rightMatrix: b.matrix, resultMatrix: c.matrix)
    }
    return Double(m) * Double(n)
  }

  private func matrix(
    _ name: String, _ index: UInt32, _ offset: Double, _ line: Double, _ shape: (rows: Int, columns: Int),
    _ type: MPSDataType
  ) throws -> Matrix {
    let buffer = try object(index, buffers)
    let elementBytes = type == .float16 ? 2 : 4
    let offset = try count(offset, "the offset of \(name)")
    let line = try count(line, "the line of \(name)", atLeast: 1)
    guard offset % elementBytes == 0 else {
      throw Failure.value("the offset of \(name) must be a multiple of \(elementBytes), not \(offset)")
    }
    guard shape.rows == 1 || line >= shape.columns else {
      throw Failure.value("lines of \(name) are \(line) elements apart, and \(shape.columns) long")
    }
    // In doubles: sizes may be anything.
    let end =
      Double(offset) + (Double(shape.rows - 1) * Double(line) + Double(shape.columns)) * Double(elementBytes)
    guard end <= Double(buffer.bytes) else {
      throw Failure.value(
        "\(name) of \(shape.rows) × \(shape.columns) ends at byte \(Int(exactly: end).map { "\($0)" } ?? "\(end)") of a "
          + "buffer of \(buffer.bytes)")
    }
    // The line of a single row does not count.
    let row = shape.rows == 1 ? shape.columns : line
    return Matrix(
      buffer: buffer, offset: offset, rows: shape.rows, columns: shape.columns, rowBytes: row * elementBytes, type: type)
  }
}
