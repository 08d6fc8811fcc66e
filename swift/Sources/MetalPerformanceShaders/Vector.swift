open class MPSVectorDescriptor: @unchecked Sendable {
  public var length: Int
  public var vectors: Int
  public var vectorBytes: Int
  public var dataType: MPSDataType

  public convenience init(length: Int, dataType: MPSDataType) {
    self.init(
      length: length, vectors: 1, vectorBytes: Self.vectorBytes(forLength: length, dataType: dataType), dataType: dataType)
  }

  public init(length: Int, vectors: Int, vectorBytes: Int, dataType: MPSDataType) {
    self.length = length
    self.vectors = vectors
    self.vectorBytes = vectorBytes
    self.dataType = dataType
  }

  public class func vectorBytes(forLength length: Int, dataType: MPSDataType) -> Int {
    (length * dataType.bytes + 15) & ~15
  }
}

/// Vectors in a buffer, one behind the other.
open class MPSVector: @unchecked Sendable {
  public let data: any MTLBuffer
  public let offset: Int
  public let length: Int
  public let vectors: Int
  public let vectorBytes: Int
  public let dataType: MPSDataType
  public var label: String?

  public var device: any MTLDevice { data.device }

  public convenience init(buffer: any MTLBuffer, descriptor: MPSVectorDescriptor) {
    self.init(buffer: buffer, offset: 0, descriptor: descriptor)
  }

  public init(buffer: any MTLBuffer, offset: Int, descriptor: MPSVectorDescriptor) {
    data = buffer
    self.offset = offset
    length = descriptor.length
    vectors = descriptor.vectors
    vectorBytes = descriptor.vectorBytes
    dataType = descriptor.dataType
  }

  public func synchronize(on commandBuffer: any MTLCommandBuffer) {}
  public func resourceSize() -> Int { vectorBytes * vectors }
}
