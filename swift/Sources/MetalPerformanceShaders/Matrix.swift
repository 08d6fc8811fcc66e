@_exported import Metal

public enum MPSDataType: UInt32, Sendable {
  case invalid = 0
  case float16 = 0x1000_0010
  case float32 = 0x1000_0020
  case int8 = 0x2000_0008
  case int16 = 0x2000_0010
  case int32 = 0x2000_0020
  case int64 = 0x2000_0040
  case uInt8 = 0x0000_0008
  case uInt16 = 0x0000_0010
  case uInt32 = 0x0000_0020
  case uInt64 = 0x0000_0040
  case bool = 0x8000_0008
  case bFloat16 = 0x9000_0010

  var bytes: Int { Int(rawValue & 0xffff) / 8 }
}

open class MPSMatrixDescriptor: @unchecked Sendable {
  public var rows: Int
  public var columns: Int
  public var rowBytes: Int
  public var matrixBytes: Int
  public var matrices: Int
  public var dataType: MPSDataType

  public convenience init(rows: Int, columns: Int, rowBytes: Int, dataType: MPSDataType) {
    self.init(
      rows: rows, columns: columns, matrices: 1, rowBytes: rowBytes, matrixBytes: rows * rowBytes, dataType: dataType)
  }

  public init(rows: Int, columns: Int, matrices: Int, rowBytes: Int, matrixBytes: Int, dataType: MPSDataType) {
    self.rows = rows
    self.columns = columns
    self.matrices = matrices
    self.rowBytes = rowBytes
    self.matrixBytes = matrixBytes
    self.dataType = dataType
  }

  /// The length of rows that start where vector loads like it.
  public class func rowBytes(fromColumns columns: Int, dataType: MPSDataType) -> Int {
    (columns * dataType.bytes + 15) & ~15
  }

  public class func rowBytes(forColumns columns: Int, dataType: MPSDataType) -> Int {
    rowBytes(fromColumns: columns, dataType: dataType)
  }
}

/// Matrices in rows in a buffer, one behind the other.
open class MPSMatrix: @unchecked Sendable {
  public let data: any MTLBuffer
  public let offset: Int
  public let rows: Int
  public let columns: Int
  public let rowBytes: Int
  public let matrixBytes: Int
  public let matrices: Int
  public let dataType: MPSDataType
  public var label: String?

  public var device: any MTLDevice { data.device }

  public convenience init(buffer: any MTLBuffer, descriptor: MPSMatrixDescriptor) {
    self.init(buffer: buffer, offset: 0, descriptor: descriptor)
  }

  public init(buffer: any MTLBuffer, offset: Int, descriptor: MPSMatrixDescriptor) {
    data = buffer
    self.offset = offset
    rows = descriptor.rows
    columns = descriptor.columns
    rowBytes = descriptor.rowBytes
    matrixBytes = descriptor.matrixBytes
    matrices = descriptor.matrices
    dataType = descriptor.dataType
  }

  /// One with memory of its own, which the host cannot see.
  public init(device: any MTLDevice, descriptor: MPSMatrixDescriptor) {
    let bytes = max(descriptor.matrixBytes * descriptor.matrices, 1)
    guard let buffer = device.makeBuffer(length: bytes, options: .storageModePrivate) else {
      fatalError("Cannot make a matrix: \(bytes) bytes are not available on \(device.name)")
    }
    data = buffer
    offset = 0
    rows = descriptor.rows
    columns = descriptor.columns
    rowBytes = descriptor.rowBytes
    matrixBytes = descriptor.matrixBytes
    matrices = descriptor.matrices
    dataType = descriptor.dataType
  }

  public func synchronize(on commandBuffer: any MTLCommandBuffer) {}
  public func resourceSize() -> Int { matrixBytes * matrices }
}
