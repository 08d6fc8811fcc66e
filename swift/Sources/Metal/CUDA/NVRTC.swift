/// CUDA's run-time compiler.
final class NVRTC: @unchecked Sendable {
  typealias Program = OpaquePointer

  let path: String
  let major: Int
  let minor: Int
  /// 90 for sm_90, rising.
  let architectures: [Int]

  private let create:
    @convention(c) (
      UnsafeMutablePointer<Program?>, UnsafePointer<CChar>, UnsafePointer<CChar>, Int32, UnsafeRawPointer?,
      UnsafeRawPointer?
    ) -> Int32
  private let destroy: @convention(c) (UnsafeMutablePointer<Program?>) -> Int32
  private let compile: @convention(c) (Program, Int32, UnsafePointer<UnsafePointer<CChar>?>) -> Int32
  private typealias Size = @convention(c) (Program, UnsafeMutablePointer<Int>) -> Int32
  private typealias Text = @convention(c) (Program, UnsafeMutablePointer<CChar>) -> Int32
  private let logSize: Size
  private let log: Text
  private let ptxSize: Size
  private let ptx: Text
  private let cubinSize: Size
  private let cubin: Text
  private let errorString: @convention(c) (Int32) -> UnsafePointer<CChar>?

  enum Failure: Error {
    /// The text is wrong; the compiler's log.
    case source(String)
    /// The compiler is.
    case compiler(String)
  }

  /// What a program is compiled for.
  enum Target: Hashable, Sendable {
    /// Machine code of exactly this architecture.
    case cubin(Int)
    /// Virtual code that the driver compiles for a newer one.
    case ptx(Int)

    var option: String {
      switch self {
      case .cubin(let architecture): "--gpu-architecture=sm_\(architecture)"
      case .ptx(let architecture): "--gpu-architecture=compute_\(architecture)"
      }
    }
  }

  convenience init(path: String) throws { try self.init(CudaLibraries.open(path)) }

  init(_ library: LoadedLibrary) throws {
    path = library.path
    let versionOf: @convention(c) (UnsafeMutablePointer<Int32>, UnsafeMutablePointer<Int32>) -> Int32 =
      try library.function("nvrtcVersion")
    var (first, second): (Int32, Int32) = (0, 0)
    _ = versionOf(&first, &second)
    (major, minor) = (Int(first), Int(second))
    let countOf: @convention(c) (UnsafeMutablePointer<Int32>) -> Int32 = try library.function(
      "nvrtcGetNumSupportedArchs")
    let listOf: @convention(c) (UnsafeMutablePointer<Int32>) -> Int32 = try library.function("nvrtcGetSupportedArchs")
    var count: Int32 = 0
    _ = countOf(&count)
    var list = [Int32](repeating: 0, count: Int(count))
    _ = listOf(&list)
    architectures = list.map(Int.init).sorted()
    create = try library.function("nvrtcCreateProgram")
    destroy = try library.function("nvrtcDestroyProgram")
    compile = try library.function("nvrtcCompileProgram")
    logSize = try library.function("nvrtcGetProgramLogSize")
    log = try library.function("nvrtcGetProgramLog")
    ptxSize = try library.function("nvrtcGetPTXSize")
    ptx = try library.function("nvrtcGetPTX")
    cubinSize = try library.function("nvrtcGetCUBINSize")
    cubin = try library.function("nvrtcGetCUBIN")
    errorString = try library.function("nvrtcGetErrorString")
  }

  /// Machine code if this compiler knows the device; else, if the driver is new enough to read it, virtual code.
  func target(for architecture: Int, driverVersion: Int) throws -> Target {
    if architectures.contains(architecture) { return .cubin(architecture) }
    guard let older = architectures.last(where: { $0 < architecture }) else {
      throw EngineError.failed(
        "NVRTC \(major).\(minor) (\(path)) compiles for sm_\(architectures.first ?? 0) and newer, the device is sm_\(architecture)"
      )
    }
    guard major * 1000 + minor * 10 <= driverVersion else {
      throw EngineError.failed(
        "NVRTC \(major).\(minor) (\(path)) does not know sm_\(architecture) and is newer than the driver, which reads CUDA "
          + "\(driverVersion / 1000).\(driverVersion % 1000 / 10)")
    }
    return .ptx(older)
  }

  func build(_ text: String, _ target: Target, _ options: [String]) throws(Failure) -> [UInt8] {
    var program = try compiled(text, target, options)
    defer { _ = destroy(&program) }
    let (size, read) = if case .cubin = target { (cubinSize, cubin) } else { (ptxSize, ptx) }
    var bytes = 0
    guard let program, size(program, &bytes) == 0, bytes > 0 else { throw .compiler("it made no code") }
    return [UInt8](unsafeUninitializedCapacity: bytes) { buffer, count in
      buffer.withMemoryRebound(to: CChar.self) { _ = read(program, $0.baseAddress!) }
      count = bytes
    }
  }

  /// Looks for errors alone.
  func check(_ text: String, _ target: Target, _ options: [String]) throws(Failure) {
    var program = try compiled(text, target, options + ["--fdevice-syntax-only"])
    _ = destroy(&program)
  }

  private func compiled(_ text: String, _ target: Target, _ options: [String]) throws(Failure) -> Program? {
    var program: Program?
    let made = create(&program, text, "kernel.cu", 0, nil, nil)
    guard made == 0, let program else { throw .compiler(describe(made)) }
    let result = NVRTC.withStrings([target.option] + options) { compile(program, Int32($0.count), $0.baseAddress!) }
    if result == 0 { return program }
    let said = logText(program)
    var ended: Program? = program
    _ = destroy(&ended)
    // 6: the text does not compile. Anything else is not the text's fault.
    if result == 6 { throw .source(said) }
    throw .compiler("\(describe(result)); \(said)")
  }

  private func logText(_ program: Program) -> String {
    var bytes = 0
    guard logSize(program, &bytes) == 0, bytes > 1 else { return "" }
    var text = [CChar](repeating: 0, count: bytes + 1)
    _ = log(program, &text)
    return text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
  }

  private func describe(_ code: Int32) -> String {
    "NVRTC \(major).\(minor) (\(path)): \(errorString(code).map { String(cString: $0) } ?? "error \(code)")"
  }

  private static func withStrings<T>(_ strings: [String], _ body: (UnsafeBufferPointer<UnsafePointer<CChar>?>) -> T)
    -> T
  {
    var bytes: [CChar] = []
    var starts: [Int] = []
    for string in strings {
      starts.append(bytes.count)
      bytes += string.utf8CString
    }
    return bytes.withUnsafeBufferPointer { all in
      let pointers = starts.map { UnsafePointer?(all.baseAddress! + $0) }
      return pointers.withUnsafeBufferPointer(body)
    }
  }
}
