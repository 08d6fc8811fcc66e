import CMetal
import Threading

/// Emitted text to a shared library, through clang and a folder of what was compiled before.
final class EmulatorCompiler: @unchecked Sendable {
  private let clang: ClangTool
  private let files: KernelFiles
  private let processor: String
  private let lock = Mutex()
  /// False once clang has refused to compile for this very processor.
  private var knowsProcessor = true

  /// Throws `EngineError` when there is no compiler, or no folder to compile in.
  init() throws {
    guard let clang = ClangTool.find() else { throw EngineError.failed(ClangTool.missing) }
    guard let files = KernelFiles.shared else {
      throw EngineError.failed("Cannot compile kernels for the emulator: neither the cache directory nor the temporary one can be written")
    }
    self.clang = clang
    self.files = files
    processor = EmulatorCompiler.describeProcessor()
  }

  /// The library's path. Throws `CompileFailure` with places in the MSL source.
  func build(_ emission: Emission, _ settings: CompileSettings, checks: Bool, name: String) throws -> String {
    let rest = (checks ? EmulatorCompiler.instrumentation : []) + link
    let text = EmulatorCompiler.text(emission, settings, checks: checks)
    let options = EmulatorCompiler.options(emission, settings) + rest
    let file = fileName(text, options, suffix: "so")
    if files.read(file) != nil { return files.path(file) }
    let temporary = files.temporaryPath(file)
    defer { unlink(temporary) }
    try compile(text, options + ["-o", temporary], emission)
    guard let code = readFile(temporary), files.write(file, code) else {
      throw EngineError.failed("Cannot compile kernel \(name): \(files.path(file)) cannot be written: \(String(cString: strerror(errno)))")
    }
    return files.path(file)
  }

  /// For a library that does not load.
  func forget(_ path: String) { unlink(path) }

  /// Throws `CompileFailure`.
  func check(_ emission: Emission, _ settings: CompileSettings) throws {
    let text = EmulatorCompiler.text(emission, settings, checks: false)
    let options = EmulatorCompiler.options(emission, settings) + ["-fsyntax-only"]
    let file = fileName(text, options, suffix: "checked")
    if files.read(file) != nil { return }
    try compile(text, options, emission)
    _ = files.write(file, [1])  // without it, the next process checks again
  }

  /// Throws `CompileFailure` for what Apple's front end would refuse.
  func lint(_ emission: Emission) throws {
    let text = String(cString: mtl_prelude_lint()) + "\n" + emission.text
    let file = fileName(text, Lint.options, suffix: "linted")
    if files.read(file) != nil { return }
    try compile(text, Lint.options, emission, native: false)
    _ = files.write(file, [1])
  }

  private func compile(_ text: String, _ options: [String], _ emission: Emission, native: Bool = true) throws {
    let source = files.temporaryPath("kernel") + ".cpp"
    defer { unlink(source) }
    try write(text, source)
    for native in native && lock.holding({ knowsProcessor }) ? [true, false] : [false] {
      let arguments = options + (native ? EmulatorCompiler.native : []) + [source]
      let result = try ChildProcess.run(clang.path, arguments, log: source + ".log")
      if result.status == 0 { return }
      if native, result.output.has("march=") || result.output.has("mcpu=") {
        lock.holding { knowsProcessor = false }
        continue
      }
      if result.status >= 128 || !EmulatorCompiler.isAboutText(result.output) {
        throw EngineError.failed("Cannot compile a kernel: \(clang.path) failed with status \(result.status): \(result.output)")
      }
      throw CompileFailure(log: emission.translate(log: result.output))
    }
  }

  /// Whether all errors have a place in the text, and none is the compiler's or the linker's own:
  /// "clang++-17: error: …".
  private static func isAboutText(_ log: String) -> Bool {
    let places = log.split(separator: "\n").compactMap { line in line.find(": error: ").map { line[..<$0.lowerBound] } }
    return !places.isEmpty && places.allSatisfy { $0.has(":") }
  }

  private func write(_ text: String, _ path: String) throws {
    guard let file = fopen(path, "we") else {
      throw EngineError.failed("Cannot compile a kernel: \(path) cannot be written: \(String(cString: strerror(errno)))")
    }
    var text = text
    let isWhole = text.withUTF8 { fwrite($0.baseAddress, 1, $0.count, file) == $0.count }
    guard fclose(file) == 0, isWhole else {
      throw EngineError.failed("Cannot compile a kernel: \(path) cannot be written: \(String(cString: strerror(errno)))")
    }
  }

  // MARK: options

  private static func options(_ emission: Emission, _ settings: CompileSettings) -> [String] {
    var options = [
      "--driver-mode=g++", "-x", "c++", "-std=c++20", "-O2", "-nostdinc", "-fno-exceptions", "-fno-rtti", "-fno-math-errno",
      "-fsigned-char", "-fPIC", "-fvisibility=hidden",
      // Arithmetic in half is rounded at every step.
      "-Xclang", "-ffloat16-excess-precision=none",
      // A shader's rules, not C++'s: memory seen as other types, arithmetic that wraps, loops that never end.
      "-fno-strict-aliasing", "-fwrapv", "-fno-finite-loops",
      // Barriers and simdgroup operations are not made more or fewer.
      "-fconvergent-functions",
      "-Wno-everything", "-Wframe-larger-than=\(mostFrameBytes)", "-Werror=frame-larger-than",
    ]
    switch settings.mathMode {
    case .safe: break
    // Infinities and NaN as they are.
    case .relaxed: options += ["-fno-signed-zeros", "-freciprocal-math", "-fno-trapping-math", "-fassociative-math"]
    case .fast: options.append("-ffast-math")
    }
    options.append(emission.allowsContraction ? "-ffp-contract=on" : "-ffp-contract=off")
    if emission.text.has("simd") || emission.text.has("quad") { options += inOrder }
    return options
  }

  /// Machine code in the order of the text, and frames that tell who called: so the executor knows which of the
  /// lanes that branched is behind, and lets them meet again. Every loop's end would come before its body, with
  /// markers of lifetimes.
  private static let inOrder =
    ["-fno-omit-frame-pointer", "-Xclang", "-disable-lifetime-markers"]
    + ["disable-block-placement", "disable-branch-fold", "disable-tail-duplicate", "disable-early-taildup"].flatMap { ["-mllvm", "-\($0)"] }

  /// Two such fit a fiber's stack.
  private static let mostFrameBytes = 112 << 10

  #if arch(x86_64)
    private static let native = ["-march=native"]
  #else
    private static let native = ["-mcpu=native"]
  #endif

  /// ThreadSanitizer's calls before each access, which the prelude answers. It does not see vectors wider
  /// than 16 bytes, so the compiler makes none.
  private static let instrumentation = [
    "-fsanitize=thread,integer-divide-by-zero", "-fno-vectorize", "-fno-slp-vectorize", "-mprefer-vector-width=128",
    "-mllvm", "-tsan-instrument-func-entry-exit=0", "-mllvm", "-tsan-instrument-atomics=0",
  ]

  /// The prelude and what was emitted, whose first line sets the compiler's count of lines to 1.
  private static func text(_ emission: Emission, _ settings: CompileSettings, checks: Bool) -> String {
    let defines = (checks ? "#define MTL_CHECKS 1\n" : "") + (settings.mathMode == .fast ? "#define MTL_FAST_MATH 1\n" : "")
    return defines + prelude + emission.text + "\nMTL_END\n" + (checks ? epilogue : "")
  }

  private static let prelude = String(cString: mtl_prelude_emulator())

  /// What integer-divide-by-zero calls. The executor knows kind 3 as that.
  private static let epilogue = """
    extern "C" MTL_TRUSTED void __ubsan_handle_divrem_overflow(void *, void *, void *) { mtl_runtime->access(nullptr, 0, 3); }

    """

  /// Nothing of the compiler's own libraries, which may be absent.
  private var link: [String] {
    ["-shared", "-nostdlib", "-l:libm.so.6", "-l:libc.so.6"] + (clang.hasLinker ? ["-fuse-ld=lld"] : [])
  }

  // MARK: files

  private func fileName(_ text: String, _ options: [String], suffix: String) -> String {
    "\(KernelFiles.key([text, options.joined(separator: " "), clang.identity, processor])).\(suffix)"
  }

  /// What -march=native depends on.
  private static func describeProcessor() -> String {
    guard let file = fopen("/proc/cpuinfo", "re") else { return "" }
    defer { fclose(file) }
    let wanted = ["vendor_id", "cpu family", "model", "flags", "Features", "CPU implementer", "CPU part", "CPU variant"]
    var lines: [String] = []
    var line: UnsafeMutablePointer<CChar>?
    var room = 0
    defer { free(line) }
    while getline(&line, &room, file) > 1 {
      let text = String(cString: line!)
      if wanted.contains(where: { text.hasPrefix($0) }) { lines.append(text) }
    }
    return lines.joined()
  }
}
