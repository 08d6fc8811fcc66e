import CMetal

/// Emitted text to code that the driver loads, through NVRTC and the cache on disk.
final class CudaCompiler: @unchecked Sendable {
  let nvrtc: NVRTC
  let target: NVRTC.Target
  private let cache: KernelFiles?

  /// cached: false leaves the disk alone.
  init(_ nvrtc: NVRTC, architecture: Int, driverVersion: Int, cached: Bool = true) throws {
    self.nvrtc = nvrtc
    target = try nvrtc.target(for: architecture, driverVersion: driverVersion)
    cache = cached ? KernelFiles.shared : nil
  }

  /// Throws `CompileFailure` with places in the MSL source. `again`: what the disk holds is no good.
  func build(_ emission: Emission, _ settings: CompileSettings, name: String, again: Bool = false) throws -> [UInt8] {
    let (text, options, key) = inputs(emission, settings)
    if !again, let known = cache?.read(key) { return known }
    do {
      let code = try nvrtc.build(text, target, options)
      _ = cache?.write(key, code)  // without it, the next process compiles again
      return code
    } catch {
      throw CudaCompiler.failure(error, emission, name)
    }
  }

  /// Looks for errors in all kernels. Throws `CompileFailure`.
  func check(_ emission: Emission, _ settings: CompileSettings) throws {
    let (text, options, key) = inputs(emission, settings)
    if cache?.read(key) != nil { return }
    do {
      try nvrtc.check(text, target, options)
      _ = cache?.write(key, [1])
    } catch {
      throw CudaCompiler.failure(error, emission, "library")
    }
  }

  private func inputs(_ emission: Emission, _ settings: CompileSettings) -> (String, [String], String) {
    let text = CudaCompiler.text(emission, settings)
    let options = CudaCompiler.options(emission, settings)
    guard cache != nil else { return (text, options, "") }
    let key = KernelFiles.key([text, options.joined(separator: " "), "\(target)", "\(nvrtc.major).\(nvrtc.minor)"])
    return (text, options, key + ".cubin")
  }

  private static func failure(_ error: NVRTC.Failure, _ emission: Emission, _ name: String) -> any Error {
    switch error {
    case .source(let log): CompileFailure(log: translate(log, emission, name))
    case .compiler(let why): EngineError.failed("Cannot compile \(name): \(why)")
    }
  }

  /// What the assembler says has no place in the source: it is about the kernel as a whole.
  private static func translate(_ log: String, _ emission: Emission, _ name: String) -> String {
    let heads = ["ptxas error   : ", "ptxas fatal   : ", ": Error: "]
    let whole = log.split(separator: "\n").compactMap { line in
      heads.lazy.compactMap { line.find($0) }.first.map { String(line[$0.upperBound...]) }
    }
    if whole.isEmpty { return emission.translate(log: log) }
    return whole.map { message in
      emission.files.diagnostic(emission.fallback, "error", message.replacing(every: "mtl_entry", by: name))
    }.joined()
  }

  /// The prelude and what was emitted, whose first line sets the compiler's count of lines to 1.
  private static func text(_ emission: Emission, _ settings: CompileSettings) -> String {
    (settings.mathMode == .fast ? "#define MTL_FAST_MATH 1\n" : "") + prelude + emission.text + "\nMTL_END\n"
  }

  private static let prelude = String(cString: mtl_prelude_cuda())

  private static func options(_ emission: Emission, _ settings: CompileSettings) -> [String] {
    var options = ["-default-device", "--std=c++17", "--extra-device-vectorization", "--disable-warnings"]
    options.append("--fmad=\(emission.allowsContraction)")
    switch settings.mathMode {
    case .safe: break
    // Approximate division and root, but infinities and NaN as they are.
    case .relaxed: options += ["--prec-div=false", "--prec-sqrt=false"]
    // Not --use_fast_math, which would make precise:: approximate too; the prelude chooses functions.
    case .fast: options += ["--ftz=true", "--prec-div=false", "--prec-sqrt=false"]
    }
    return options
  }
}
