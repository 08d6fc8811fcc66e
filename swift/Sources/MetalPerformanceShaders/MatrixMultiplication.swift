/// What kernels of this module share.
open class MPSKernel: @unchecked Sendable {
  public let device: any MTLDevice
  public var label: String?

  public init(device: any MTLDevice) { self.device = device }

  /// The label, else the class, for messages.
  var described: String { label ?? "\(type(of: self))" }
}

public func MPSSupportsMTLDevice(_ device: (any MTLDevice)?) -> Bool { device != nil }

/// result = alpha · op(left) op(right) + beta · result, for each matrix of a batch.
open class MPSMatrixMultiplication: MPSKernel, @unchecked Sendable {
  public var leftMatrixOrigin = MTLOrigin(x: 0, y: 0, z: 0)
  public var rightMatrixOrigin = MTLOrigin(x: 0, y: 0, z: 0)
  public var resultMatrixOrigin = MTLOrigin(x: 0, y: 0, z: 0)
  /// The first matrix of a batch, and how many.
  public var batchStart = 0
  public var batchSize = Int.max

  private let product: MatrixProduct

  public init(
    device: any MTLDevice, transposeLeft: Bool, transposeRight: Bool, resultRows: Int, resultColumns: Int,
    interiorColumns: Int, alpha: Double, beta: Double
  ) {
    product = MatrixProduct(
      transposeLeft: transposeLeft, transposeRight: transposeRight, rows: resultRows, columns: resultColumns,
      interior: interiorColumns, alpha: alpha, beta: beta)
    super.init(device: device)
  }

  public convenience init(device: any MTLDevice, resultRows: Int, resultColumns: Int, interiorColumns: Int) {
    self.init(
      device: device, transposeLeft: false, transposeRight: false, resultRows: resultRows, resultColumns: resultColumns,
      interiorColumns: interiorColumns, alpha: 1, beta: 0)
  }

  public func encode(
    commandBuffer: any MTLCommandBuffer, leftMatrix: MPSMatrix, rightMatrix: MPSMatrix, resultMatrix: MPSMatrix
  ) {
    let all = min(leftMatrix.matrices, rightMatrix.matrices, resultMatrix.matrices)
    let end = batchSize > all - min(batchStart, all) ? all : batchStart + batchSize
    for matrix in min(batchStart, end)..<end {
      encodeProduct(
        product, leftMatrix.operand(matrix, leftMatrixOrigin), rightMatrix.operand(matrix, rightMatrixOrigin),
        resultMatrix.operand(matrix, resultMatrixOrigin), into: commandBuffer, as: described)
    }
  }
}

/// result = alpha · op(matrix) vector + beta · result.
open class MPSMatrixVectorMultiplication: MPSKernel, @unchecked Sendable {
  private let product: MatrixProduct

  public init(device: any MTLDevice, transpose: Bool, rows: Int, columns: Int, alpha: Double, beta: Double) {
    product = MatrixProduct(
      transposeLeft: transpose, transposeRight: false, rows: rows, columns: 1, interior: columns, alpha: alpha, beta: beta)
    super.init(device: device)
  }

  public convenience init(device: any MTLDevice, rows: Int, columns: Int) {
    self.init(device: device, transpose: false, rows: rows, columns: columns, alpha: 1, beta: 0)
  }

  public func encode(
    commandBuffer: any MTLCommandBuffer, inputMatrix: MPSMatrix, inputVector: MPSVector, resultVector: MPSVector
  ) {
    encodeProduct(
      product, inputMatrix.operand(0, MTLOrigin()), inputVector.operand, resultVector.operand, into: commandBuffer,
      as: described)
  }
}

extension MPSMatrix {
  /// Origins count rows in x and columns in y.
  fileprivate func operand(_ matrix: Int, _ origin: MTLOrigin) -> MatrixOperand {
    let start = offset + matrix * matrixBytes + origin.x * rowBytes + origin.y * dataType.bytes
    return MatrixOperand(
      data, offset: start, rows: rows - origin.x, columns: columns - origin.y, rowBytes: rowBytes,
      elementBytes: dataType.factorBytes)
  }
}

extension MPSVector {
  /// A matrix of one column.
  fileprivate var operand: MatrixOperand {
    MatrixOperand(data, offset: offset, rows: length, columns: 1, rowBytes: dataType.bytes,
      elementBytes: dataType.factorBytes)
  }
}

extension MPSDataType {
  /// Of an element that can be multiplied, else 0.
  fileprivate var factorBytes: Int { self == .float32 ? 4 : self == .float16 ? 2 : 0 }
}
