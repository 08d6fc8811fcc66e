import CMetal
import Threading

extension EngineMultiply {
  func run(on pool: Pool) throws {
    func matrix(_ matrix: Matrix, _ transposed: Bool) -> mtl_matrix {
      mtl_matrix(
        rows: matrix.memory.memory(at: matrix.offset), row_bytes: UInt64(matrix.rowBytes),
        half: matrix.element == .float16, transposed: transposed)
    }
    nonisolated(unsafe) var description = mtl_multiply(
      left: matrix(left, transposeLeft), right: matrix(right, transposeRight), result: matrix(result, false),
      rows: UInt64(rows), columns: UInt64(columns), interior: UInt64(interior), alpha: Float(alpha), beta: Float(beta))
    let blocks = (rows + Int(MTL_MULTIPLY_ROWS) - 1) / Int(MTL_MULTIPLY_ROWS)
    let failed = Failed()
    withUnsafePointer(to: &description) { pointer in
      nonisolated(unsafe) let pointer = pointer
      _ = pool.forEach(blocks) { block, _ in
        if !mtl_multiply_rows(pointer, UInt64(block)) { failed.set() }
      }
    }
    if failed.isSet { throw EngineError.outOfMemory("Cannot multiply matrices: there is no memory for blocks of them") }
  }
}

private final class Failed: @unchecked Sendable {
  private let lock = Mutex()
  private var value = false
  var isSet: Bool { lock.holding { value } }
  func set() { lock.holding { value = true } }
}
