/// Matrix products. One handle a queue: a handle belongs to one stream.
final class CuBLAS: @unchecked Sendable {
  typealias Handle = OpaquePointer

  let path: String
  let version: String

  private let create: @convention(c) (UnsafeMutablePointer<Handle?>) -> Int32
  private let destroy: @convention(c) (Handle) -> Int32
  private let setStream: @convention(c) (Handle, OpaquePointer) -> Int32
  private let setWorkspace: @convention(c) (Handle, UInt, Int) -> Int32
  private let statusName: (@convention(c) (Int32) -> UnsafePointer<CChar>?)?
  private let multiply:
    @convention(c) (
      Handle, Int32, Int32, Int64, Int64, Int64, UnsafeRawPointer, UInt, Int32, Int64, UInt, Int32, Int64,
      UnsafeRawPointer, UInt, Int32,
      Int64, Int32, Int32
    ) -> Int32

  init(_ library: LoadedLibrary) throws {
    path = library.path
    create = try library.function("cublasCreate_v2")
    destroy = try library.function("cublasDestroy_v2")
    setStream = try library.function("cublasSetStream_v2")
    setWorkspace = try library.function("cublasSetWorkspace_v2")
    statusName = library.optional("cublasGetStatusName")
    multiply = try library.function("cublasGemmEx_64")
    let property: @convention(c) (Int32, UnsafeMutablePointer<Int32>) -> Int32 = try library.function(
      "cublasGetProperty")
    version = (0..<3).map { part in
      var value: Int32 = 0
      _ = property(Int32(part), &value)
      return String(value)
    }.joined(separator: ".")
  }

  /// What cuBLAS takes on the largest devices if left alone.
  static let workspaceBytes = 32 << 20

  /// The context must be current. The workspace is the caller's, as products in graphs keep its place.
  func makeHandle(stream: OpaquePointer, workspace: UInt, _ bytes: Int) throws -> Handle {
    var handle: Handle?
    try check(create(&handle), "start cuBLAS")
    guard let handle else { throw EngineError.failed("Cannot start cuBLAS") }
    do {
      try check(setStream(handle, stream), "start cuBLAS")
      try check(setWorkspace(handle, workspace, bytes), "start cuBLAS")
    } catch {
      destroyHandle(handle)
      throw error
    }
    return handle
  }

  func destroyHandle(_ handle: Handle) { _ = destroy(handle) }

  /// cuBLAS counts in columns: the transpose of our C is op(B)ᵀ op(A)ᵀ, and our rows are its columns.
  func encode(_ job: EngineMultiply, _ handle: Handle) throws {
    guard job.left.element == job.right.element else {
      throw EngineError.invalid("Cannot multiply: the factors differ in element type")
    }
    guard job.left.element == .float16 || job.result.element == .float32 else {
      throw EngineError.invalid("Cannot multiply: factors of float32 need a result of float32")
    }
    var (alpha, beta) = (Float(job.alpha), Float(job.beta))
    let status = multiply(
      handle, job.transposeRight ? 1 : 0, job.transposeLeft ? 1 : 0,
      Int64(job.columns), Int64(job.rows), Int64(job.interior), &alpha,
      CuBLAS.start(job.right), CuBLAS.type(job.right), CuBLAS.leading(job.right),
      CuBLAS.start(job.left), CuBLAS.type(job.left), CuBLAS.leading(job.left), &beta,
      CuBLAS.start(job.result), CuBLAS.type(job.result), CuBLAS.leading(job.result),
      // CUBLAS_COMPUTE_32F: never TF32. CUBLAS_GEMM_DEFAULT.
      68, -1)
    try check(status, "multiply \(job.rows) × \(job.interior) by \(job.interior) × \(job.columns)")
  }

  private static func start(_ matrix: EngineMultiply.Matrix) -> UInt { matrix.memory.address + UInt(matrix.offset) }
  /// CUDA_R_32F, CUDA_R_16F
  private static func type(_ matrix: EngineMultiply.Matrix) -> Int32 { matrix.element == .float32 ? 0 : 2 }
  private static func leading(_ matrix: EngineMultiply.Matrix) -> Int64 {
    Int64(matrix.rowBytes / (matrix.element == .float32 ? 4 : 2))
  }

  private func check(_ status: Int32, _ doing: String) throws {
    guard status != 0 else { return }
    let name = statusName?(status).map { String(cString: $0) } ?? "error"
    // 3: CUBLAS_STATUS_ALLOC_FAILED
    let text = "Cannot \(doing): cuBLAS says \(name) (\(status))"
    throw status == 3 ? EngineError.outOfMemory(text) : EngineError.failed(text)
  }
}
