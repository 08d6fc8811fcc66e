extension AddressSpaces {
  /// Words that OpenCL has as keywords or types.
  private static let taken: Set<String> = [
    "global", "local", "generic", "read_only", "write_only", "read_write", "pipe", "event_t", "sampler_t", "queue_t",
    "clk_event_t", "reserve_id_t", "ndrange_t", "addrspace_cast",
  ]

  /// What a word becomes for the lint, nil where it is like for the engines.
  static func forLint(_ program: Program, _ at: Int, _ inFunction: Bool) throws -> String? {
    let text = program.tokens[at].text
    if taken.contains(text) { return "user_" + text }
    guard ["device", "constant", "threadgroup", "thread"].contains(text) else { return nil }
    if qualifiesFunction(program, at) {
      switch text {
      case "device": return "__global"
      case "constant": return constantIsRedundant(program, at) ? "__global" : "const __global"
      case "threadgroup": return "__local"
      default: return "__private"
      }
    }
    switch text {
    case "device": return "MTL_DEVICE"
    case "constant": return constantIsRedundant(program, at) ? "MTL_CONSTANT_SPACE" : "const MTL_CONSTANT_SPACE"
    case "threadgroup":
      let word = try threadgroup(program, at, inFunction)
      return word.isEmpty ? "__local" : word
    // A reference to a temporary: those have no space yet.
    default: return isConstReference(program, at) ? "" : "__private"
    }
  }

  /// Whether the word stands behind a member function's parameters.
  private static func qualifiesFunction(_ program: Program, _ at: Int) -> Bool {
    var i = at - 1
    while program.is(i, "const") || program.is(i, "volatile") { i -= 1 }
    guard program.is(i, ")") else { return false }
    var next = at + 1
    while program.is(next, "const") || program.is(next, "volatile") || program.is(next, "noexcept") { next += 1 }
    return program.is(next, "{") || program.is(next, ";") || program.is(next, ":") || program.is(next, "=")
  }

  private static func isConstReference(_ program: Program, _ at: Int) -> Bool {
    let end = typeEnd(program, at + 1)
    guard program.is(end, "&") else { return false }
    return program.is(at - 1, "const") || program.tokens[at..<end].contains { $0.is("const") }
  }
}

extension Rewriter {
  private static let scalars: Set<String> = [
    "bool", "char", "uchar", "short", "ushort", "int", "uint", "long", "ulong", "float", "half", "bfloat", "unsigned",
    "signed", "size_t", "int8_t", "uint8_t", "int16_t", "uint16_t", "int32_t", "uint32_t", "int64_t", "uint64_t",
  ]

  /// A member function without an address space is one of thread objects.
  mutating func rewriteMethodsForLint() {
    for declaration in program.declarations
    where declaration.isMember && declaration.kind == .function && declaration.name != declaration.path.last {
      guard let parameters = declaration.parameters, !declaration.name.hasPrefix("~"),
        !(declaration.head..<declaration.nameAt).contains(where: { tokens[$0].is("static") })
      else { continue }
      var i = parameters.upperBound + 1
      var hasSpace = false
      while i < tokens.count, tokens[i].isIdentifier {
        if ["device", "constant", "thread", "threadgroup"].contains(tokens[i].text) { hasSpace = true }
        i += 1
      }
      if !hasSpace, edits[parameters.upperBound] == nil { edits[parameters.upperBound] = ") __private" }
    }
  }

  mutating func rewriteVariablesForLint() {
    let sizes = namesOfSizes()
    for i in tokens.indices where edits[i] == "MTL_THREADGROUP" { rewriteThreadgroup(i) }
    for declaration in program.declarations
    where declaration.kind == .variable && !declaration.isMember && !declaration.isTemplate
      && declaration.names.count == 1 && constants.byName[declaration.name] == nil
    {
      rewriteTable(declaration, sizes)
    }
  }

  /// `threadgroup T a[2], b;` → `auto &a = mtl_local<T[2]>(); auto &b = mtl_local<T>();`, for OpenCL has such variables
  /// in plain kernels alone.
  private mutating func rewriteThreadgroup(_ at: Int) {
    let first = AddressSpaces.typeEnd(program, at + 1)
    var start = at + 1
    if program.is(start, "alignas"), program.is(start + 1, "(") { start = program.match[start + 1] + 1 }
    var type = ""
    for i in at..<first {
      if i >= start { type += (edits[i] ?? tokens[i].text) + " " }
      edits[i] = ""
    }
    // What stands before the word, up to the statement's start, goes too: alignas, volatile.
    var before = at - 1
    while before >= 0, ![";", "{", "}"].contains(tokens[before].text) {
      edits[before] = ""
      before -= 1
    }
    var i = first
    while i < tokens.count {
      if tokens[i].isIdentifier { edits[i] = "auto &\(edits[i] ?? tokens[i].text) = mtl_local<\(type)" }
      if tokens[i].is(",") { edits[i] = ">();" }
      if tokens[i].is(";") {
        edits[i] = ">();"
        return
      }
      i = program.match[i] > i ? program.match[i] + 1 : i + 1
    }
  }

  /// Names that stand where a constant expression must.
  private func namesOfSizes() -> Set<String> {
    var names: Set<String> = []
    for (i, token) in tokens.enumerated() {
      if token.is("["), program.match[i] > i {
        for j in i..<program.match[i] where tokens[j].isIdentifier { names.insert(tokens[j].text) }
      } else if token.isIdentifier, i > 0, i + 1 < tokens.count,
        [",", "<", "case", "?", "="].contains(tokens[i - 1].text) && [",", ">", ">>", ":", ";"].contains(tokens[i + 1].text),
        !(tokens[i - 1].is(",") && tokens[i + 1].is(","))
      {
        names.insert(token.text)
      }
    }
    return names
  }

  /// Kernels see a table in the constant space, through a reference; a number that sizes something stays a number.
  private mutating func rewriteTable(_ declaration: Declaration, _ sizes: Set<String>) {
    let range = declaration.range
    guard edits[range.upperBound - 1] != "",
      let name = range.first(where: { i in
        tokens[i].is(declaration.name) && ["=", "[", "{", "("].contains(tokens[i + 1].text)
      })
    else { return }
    let type = (declaration.head..<name).filter {
      !["constant", "const", "static", "constexpr", "inline"].contains(tokens[$0].text)
    }
    let isNumber = !program.is(name + 1, "[") && type.allSatisfy { Rewriter.scalars.contains(tokens[$0].text) }
    let isConstexpr = (declaration.head..<name).contains { tokens[$0].is("constexpr") }
    if isNumber, isConstexpr || sizes.contains(declaration.name) { return }
    let hidden = "mtl_constant_\(declaration.name)"
    edits[name] = hidden
    edits[range.upperBound - 1] =
      "; static decltype(mtl_in_constant(\(hidden))) \(declaration.name) = mtl_in_constant(\(hidden));"
  }
}
