import CMetal
import CPUKernels
import Threading

extension EngineMultiply {
  nonisolated(unsafe) private static let kernels: UnsafePointer<cpu_kernels> = {
    var best: UnsafePointer<cpu_kernels>?
    _ = cpu_tables(&best, 1)
    return best!
  }()

  /// Rows and columns of the result that a thread takes at a time.
  private static let block = (rows: 128, columns: 512)

  func run(on pool: Pool) throws {
    if try runByVector(on: pool) { return }
    let block = EngineMultiply.block
    let across = (columns + block.columns - 1) / block.columns
    let blocks = (rows + block.rows - 1) / block.rows * across
    let failed = Failed()
    _ = pool.forEach(blocks) { item, _ in
      let (row, column) = (item / across * block.rows, item % across * block.columns)
      let isDone = multiply(row, min(block.rows, rows - row), column, min(block.columns, columns - column))
      if !isDone { failed.set() }
    }
    if failed.isSet { throw EngineMultiply.outOfMemory }
  }

  private static let outOfMemory = EngineError.outOfMemory(
    "Cannot multiply matrices: there is no memory for blocks of them")

  /// One block of the result. False when there is no memory.
  private func multiply(_ row: Int, _ rows: Int, _ column: Int, _ columns: Int) -> Bool {
    var a = operand(left, transposeLeft, from: transposeLeft ? (0, row) : (row, 0))
    var b = operand(right, transposeRight, from: transposeRight ? (column, 0) : (0, column))
    let kernels = EngineMultiply.kernels
    let (m, n, k) = (UInt64(rows), UInt64(columns), UInt64(interior))
    let isHalf = result.element == .float16
    let packed = (cpu_gemm_scratch(kernels, m, n, k) + 63) & ~63
    var scratch: UnsafeMutableRawPointer?
    guard posix_memalign(&scratch, 64, max(64, packed + (isHalf ? rows * columns * 4 : 0))) == 0, let scratch else {
      return false
    }
    defer { free(scratch) }
    let out = result.memory.memory(at: result.offset + row * result.rowBytes + column * result.elementBytes)
    if !isHalf {
      cpu_gemm(
        kernels, m, n, k, Float(alpha), &a, &b, Float(beta), out.assumingMemoryBound(to: Float.self),
        UInt64(result.rowBytes / 4), scratch)
      return true
    }
    let sums = (scratch + packed).assumingMemoryBound(to: Float.self)
    cpu_gemm(kernels, m, n, k, Float(alpha), &a, &b, 0, sums, n, scratch)
    for row in 0..<rows {
      let halves = (out + row * result.rowBytes).assumingMemoryBound(to: UInt16.self)
      mtl_store_halves(sums + row * columns, halves, n, Float(beta))
    }
    return true
  }

  private func operand(_ matrix: Matrix, _ transposed: Bool, from start: (row: Int, column: Int)) -> cpu_matrix {
    let offset = matrix.offset + start.row * matrix.rowBytes + start.column * matrix.elementBytes
    return cpu_matrix(
      data: matrix.memory.memory(at: offset), line: UInt64(matrix.rowBytes / matrix.elementBytes),
      type: matrix.type, transposed: transposed)
  }

  /// Outputs of a product by a vector that a thread takes at a time.
  private static let share = 256

  /// A single row or column of the result, where the vectors have no gaps. False for other products.
  private func runByVector(on pool: Pool) throws -> Bool {
    guard rows == 1 || columns == 1 else { return false }
    let isColumn = columns == 1
    let (matrix, vector) = isColumn ? (left, right) : (right, left)
    // A vector that is stored as a column has an element a row.
    let isStoredAsColumn = isColumn ? !transposeRight : transposeLeft
    let outputs = isColumn ? rows : columns
    guard interior == 1 || !isStoredAsColumn || vector.rowBytes == vector.elementBytes,
      outputs == 1 || !isColumn || result.rowBytes == result.elementBytes
    else { return false }
    guard let x = malloc(interior * 4)?.assumingMemoryBound(to: Float.self) else { throw EngineMultiply.outOfMemory }
    defer { free(x) }
    cpu_widen_all(vector.type, vector.memory.memory(at: vector.offset), UInt64(interior), x)
    var gemv = cpu_gemv()
    gemv.n = UInt64(outputs)
    gemv.k = UInt64(interior)
    gemv.line = UInt64(matrix.rowBytes / matrix.elementBytes)
    (gemv.type_w, gemv.type_x) = (matrix.type, result.type)
    gemv.columns = isColumn ? transposeLeft : !transposeRight
    (gemv.alpha, gemv.beta) = (Float(alpha), Float(beta))
    gemv.w = UnsafeRawPointer(matrix.memory.memory(at: matrix.offset))
    gemv.x = UnsafePointer(x)
    gemv.y = result.memory.memory(at: result.offset)
    let share = EngineMultiply.share
    withUnsafePointer(to: &gemv) { gemv in
      _ = pool.forEach((outputs + share - 1) / share) { item, _ in
        let last = min((item + 1) * share, outputs)
        cpu_gemv_part(EngineMultiply.kernels, gemv, 0, UInt64(item * share), UInt64(last))
      }
    }
    return true
  }
}

extension EngineMultiply.Matrix {
  fileprivate var type: UInt32 { element == .float16 ? CPU_F16.rawValue : CPU_F32.rawValue }
}

private final class Failed: @unchecked Sendable {
  private let lock = Mutex()
  private var value = false
  var isSet: Bool { lock.holding { value } }
  func set() { lock.holding { value = true } }
}
