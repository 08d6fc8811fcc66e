/// An MSL program, parsed and checked, ready to be written for a target.
final class Translation: Sendable {
  /// Plain kernels, and one for each explicit instantiation.
  let kernels: [Kernel]
  let files: SourceFiles
  private let program: Program
  private let constants: FunctionConstants
  private let edits: [String?]
  private let instantiations: [Instantiation]
  /// Functions of Metal's that the source overloads.
  private let overloaded: [String]
  private let kernelDeclarations: [Int]
  private let contracts: Bool

  /// `headers` are the texts of each `#include "name"`; Metal's own headers are known. Throws `CompileFailure`.
  init(
    source: String, name: String = "program_source", headers: [String: String] = [:], macros: [String: String] = [:]
  ) throws {
    var preprocessor = try Preprocessor(headers: headers, macros: macros)
    do {
      try preprocessor.run(source, name: name)
      let tokens = preprocessor.output
      try Dialect.checkWords(tokens)
      program = try Program(tokens)
      constants = try FunctionConstants(program)
      let reader = KernelReader(program, constants)
      let found = try KernelList(program, constants, reader, preprocessor.files)
      kernels = found.kernels
      kernelDeclarations = found.declarations.sorted()
      try Dialect.check(program, found.declarations)
      instantiations = found.instantiations
      edits = try Rewriter(
        program, constants, kernels: found.declarations, instantiations: instantiations, mode: .erase
      ).edits
      overloaded = Set(program.declarations.lazy.filter { $0.kind == .function && $0.path.isEmpty }.map(\.name))
        .intersection(program.usesNamespaceMetal ? Vocabulary.functions : []).sorted()
      contracts = !tokens.contains { $0.kind == .pragma && $0.text == "contract(off)" }
    } catch let fault as Fault {
      throw preprocessor.files.failure([fault])
    } catch let faults as Faults {
      throw preprocessor.files.failure(faults.all)
    }
    files = preprocessor.files
  }

  /// The text of one kernel, or of all with `nil`, for syntax checks. Throws `CompileFailure` for a function constant
  /// that the kernel needs and that has no value.
  func emit(
    _ target: Target, kernel: Kernel?, constants values: [Int: FunctionConstant] = [:], inlineArguments: Set<Int> = []
  ) throws -> Emission {
    if let kernel {
      let missing = kernel.constants.filter { $0.isRequired && values[$0.index] == nil }
      if !missing.isEmpty {
        let faults = missing.map { use in
          Fault(
            constants.byName[use.name]!.place,
            "function constant '\(use.name)' (index \(use.index)) has no value, and kernel '\(kernel.name)' needs it")
        }
        throw files.failure(faults)
      }
    }
    let edits = try target == .lint ? lintEdits() : edits
    let changes = constantEdits(values, target)
    // Kernels call no kernels, so that the others can be left out.
    var left = kernelDeclarations.filter { kernel != nil && $0 != kernel!.declaration }
      .map { program.declarations[$0].range }[...]
    var writer = EmissionWriter()
    writer.line("namespace \(Rewriter.home) {")
    writer.line((["half", "bfloat"] + overloaded).map { "using metal::\($0);" }.joined(separator: " "))
    for (i, token) in program.tokens.enumerated() {
      while let range = left.first, i >= range.upperBound { left.removeFirst() }
      if let range = left.first, range.contains(i) { continue }
      let text = changes[i] ?? edits[i] ?? token.text
      if token.kind == .pragma {
        if let pragma = Translation.pragma(token.text, target) { writer.line(pragma, at: token.place) }
      } else {
        writer.put(token, text)
      }
    }
    writer.line("using namespace metal;")
    if let kernel {
      writer.line(Entry.text(kernel, target, inlineArguments: inlineArguments), at: kernel.place)
    } else {
      Entry.references(kernels, &writer)
    }
    writer.line("}")
    return writer.finish(files, contracts: contracts, fallback: kernel?.place ?? .start)
  }

  /// The source with real address spaces, after the checks that need no compiler.
  private func lintEdits() throws -> [String?] {
    do {
      let kernels = Set(kernelDeclarations)
      try Lint(program, kernels).check()
      return try Rewriter(program, constants, kernels: kernels, instantiations: instantiations, mode: .lint).edits
    } catch let fault as Fault {
      throw files.failure([fault])
    } catch let faults as Faults {
      throw files.failure(faults.all)
    }
  }

  private static func pragma(_ text: String, _ target: Target) -> String? {
    if text == "contract(off)" { return target == .cuda ? nil : "#pragma clang fp contract(off)" }
    if text == "nounroll" { return target == .cuda ? "#pragma unroll 1" : "#pragma nounroll" }
    guard text.hasPrefix("unroll") else { return nil }
    if target == .cuda, text.hasPrefix("unroll(") { return "#pragma unroll \(text.dropFirst("unroll".count))" }
    return "#pragma \(text)"
  }

  /// The values of function constants and the answers of is_function_constant_defined.
  private func constantEdits(_ values: [Int: FunctionConstant], _ target: Target) -> [Int: String] {
    var changes: [Int: String] = [:]
    for constant in constants.all {
      // One that nothing needs gets a value that is good for any use.
      let value = values[constant.index]?.literal(constant.type) ?? "\(constant.type)(1)"
      if target != .lint { changes[constant.attribute.lowerBound] = "= \(value)" }
    }
    if constants.all.isEmpty { return changes }
    for (i, token) in program.tokens.enumerated() where token.is("is_function_constant_defined") {
      guard program.is(i + 1, "("), i + 3 < program.tokens.count,
        let constant = constants.byName[program.tokens[i + 2].text]
      else { continue }
      changes[i] = target == .lint ? "mtl_unknown" : values[constant.index] == nil ? "false" : "true"
      for j in (i + 1)...(i + 3) { changes[j] = "" }
    }
    return changes
  }
}
