// What MetalPerformanceShaders, a module of the same package, encodes its products with.

/// A matrix in rows at an offset of a buffer.
package struct MatrixOperand {
  package let buffer: any MTLBuffer
  package let offset: Int
  package let rows: Int
  package let columns: Int
  package let rowBytes: Int
  /// 4 for floats, 2 for halves, 0 for what cannot be multiplied.
  package let elementBytes: Int

  package init(_ buffer: any MTLBuffer, offset: Int, rows: Int, columns: Int, rowBytes: Int, elementBytes: Int) {
    self.buffer = buffer
    self.offset = offset
    self.rows = rows
    self.columns = columns
    self.rowBytes = rowBytes
    self.elementBytes = elementBytes
  }
}

/// result = alpha · op(left) op(right) + beta · result.
package struct MatrixProduct {
  package var transposeLeft: Bool
  package var transposeRight: Bool
  package var rows: Int
  package var columns: Int
  package var interior: Int
  package var alpha: Double
  package var beta: Double

  package init(
    transposeLeft: Bool, transposeRight: Bool, rows: Int, columns: Int, interior: Int, alpha: Double, beta: Double
  ) {
    self.transposeLeft = transposeLeft
    self.transposeRight = transposeRight
    self.rows = rows
    self.columns = columns
    self.interior = interior
    self.alpha = alpha
    self.beta = beta
  }
}

/// Checks and records a product; what is wrong becomes the command buffer's error.
package func encodeProduct(
  _ product: MatrixProduct, _ left: MatrixOperand, _ right: MatrixOperand, _ result: MatrixOperand,
  into commandBuffer: any MTLCommandBuffer, as name: String
) {
  guard let buffer = commandBuffer as? CommandBufferObject, buffer.canEncode("encode \(name)") else { return }
  func fail(_ why: String) { buffer.fail(.invalidResource, "Cannot encode \(name): \(why)") }
  guard product.rows > 0, product.columns > 0, product.interior > 0 else {
    return fail("a product of \(product.rows) × \(product.columns) over \(product.interior) has no elements")
  }
  func matrix(_ operand: MatrixOperand, _ what: String, _ rows: Int, _ columns: Int) -> EngineMultiply.Matrix? {
    guard let memory = operand.buffer as? BufferObject, memory.owner === buffer.queue.owner else {
      fail("the \(what) matrix belongs to \(operand.buffer.device.name), the command buffer to \(buffer.device.name)")
      return nil
    }
    guard operand.elementBytes > 0 else {
      fail("the \(what) matrix is neither of float32 nor of float16")
      return nil
    }
    guard rows <= operand.rows, columns <= operand.columns else {
      fail("the \(what) matrix of \(operand.rows) × \(operand.columns) is smaller than \(rows) × \(columns)")
      return nil
    }
    guard operand.offset >= 0, columns <= memory.length, operand.offset % operand.elementBytes == 0, operand.rowBytes % operand.elementBytes == 0,
      operand.rowBytes >= columns * operand.elementBytes
    else {
      fail("rows of \(columns) in the \(what) matrix do not fit offset \(operand.offset) and \(operand.rowBytes) bytes a row")
      return nil
    }
    let (before, isFar) = (rows - 1).multipliedReportingOverflow(by: operand.rowBytes)
    let last = columns * operand.elementBytes
    guard !isFar, operand.offset <= memory.length, before <= memory.length - operand.offset,
      last <= memory.length - operand.offset - before
    else {
      fail("\(rows) rows of \(operand.rowBytes) bytes from offset \(operand.offset) are more than \(memory.described) holds")
      return nil
    }
    return .init(
      memory: memory.allocation, offset: operand.offset, rowBytes: operand.rowBytes,
      element: operand.elementBytes == 2 ? .float16 : .float32)
  }
  let (rows, columns, interior) = (product.rows, product.columns, product.interior)
  guard
    let left = product.transposeLeft ? matrix(left, "left", interior, rows) : matrix(left, "left", rows, interior),
    let right = product.transposeRight
      ? matrix(right, "right", columns, interior) : matrix(right, "right", interior, columns),
    let result = matrix(result, "result", rows, columns)
  else { return }
  buffer.add(
    .multiply(
      EngineMultiply(
        left: left, right: right, result: result, transposeLeft: product.transposeLeft,
        transposeRight: product.transposeRight, rows: rows, columns: columns, interior: interior, alpha: product.alpha,
        beta: product.beta)))
}
