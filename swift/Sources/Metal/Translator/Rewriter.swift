/// Turns Metal's tokens into C++: what each token becomes, nil where it stays, "" where it goes.
struct Rewriter {
  let program: Program
  let constants: FunctionConstants
  /// Numbers of the declarations that are kernels.
  let kernels: Set<Int>

  enum Mode {
    /// Address spaces go: for the engines.
    case erase
    /// Address spaces become those of prelude/lint.h.
    case lint
  }
  var edits: [String?]
  let mode: Mode
  var tokens: [Token] { program.tokens }

  /// The namespace that all of the source is put in: its names hide those that a target's compiler or prelude has
  /// beyond Metal's.
  static let home = "mtl_user"

  init(
    _ program: Program, _ constants: FunctionConstants, kernels: Set<Int>, instantiations: [Instantiation], mode: Mode
  ) throws {
    self.program = program
    self.mode = mode
    self.constants = constants
    self.kernels = kernels
    edits = [String?](repeating: nil, count: program.tokens.count)
    for (start, end) in program.reopened {
      edits[start] = "} \(tokens[start].text)"
      // What the source declares outside is seen from there.
      if let open = (start..<end).first(where: { tokens[$0].is("{") }) {
        edits[open] = "{ using namespace \(Rewriter.home);"
      }
      edits[end] = "} namespace \(Rewriter.home) {"
    }
    for found in instantiations { remove(found.range) }
    for constant in constants.all { rewriteConstant(constant) }
    removeKernelTypes()
    for (number, declaration) in program.declarations.enumerated() {
      if kernels.contains(number) { rewriteKernel(declaration) }
      if declaration.isMember, declaration.kind == .function, declaration.name == declaration.path.last {
        rewriteConstructor(declaration)
      }
      if declaration.kind == .variable, constants.byName[declaration.name]?.declaration != number {
        try rewriteVariable(declaration)
      }
    }
    try rewriteAttributes()
    let inFunction = bodies()
    for i in tokens.indices where edits[i] == nil {
      switch tokens[i].kind {
      case .identifier: try rewriteIdentifier(i, inFunction[i])
      case .number: edits[i] = try Literals.rewritten(tokens[i])
      case .punctuator: if tokens[i].is("::") { rewriteGlobal(i) }
      default: break
      }
    }
    if mode == .lint {
      rewriteVariablesForLint()
      rewriteMethodsForLint()
    }
    try removeTwins()
  }

  mutating func remove(_ range: Range<Int>) { for i in range { edits[i] = "" } }

  private func bodies() -> [Bool] {
    var inside = [Bool](repeating: false, count: tokens.count)
    for body in program.declarations.filter({ $0.kind == .function }).compactMap(\.body) { for i in body { inside[i] = true } }
    return inside
  }

  /// `typedef decltype(f<float>) name;` of a kernel serves instantiations alone.
  private mutating func removeKernelTypes() {
    let names = Set(kernels.map { program.declarations[$0].name })
    for declaration in program.declarations where declaration.kind == .alias {
      let isKernels = declaration.range.contains { i in
        tokens[i].is("decltype") && program.is(i + 1, "(") && names.contains(tokens[i + 2].text)
      }
      if isKernels { remove(declaration.range) }
    }
  }

  // MARK: Declarations

  private mutating func rewriteConstant(_ constant: FunctionConstantDeclaration) {
    let declaration = program.declarations[constant.declaration]
    for i in declaration.head..<constant.attribute.lowerBound {
      if tokens[i].is("constant") { edits[i] = mode == .lint ? "extern const __global" : "static constexpr" }
      if tokens[i].is("static") || tokens[i].is("const") || tokens[i].is("constexpr") || tokens[i].is("extern") {
        edits[i] = ""
      }
    }
    // The first token of the attribute is where emission puts the value.
    remove(constant.attribute)
  }

  private mutating func rewriteKernel(_ declaration: Declaration) {
    var placed = false
    for i in declaration.head..<declaration.nameAt {
      if tokens[i].is("static") || tokens[i].is("extern") { edits[i] = "" }
      if tokens[i].is("kernel"), !placed {
        edits[i] = "static"
        placed = true
        // [[kernel]]: the brackets go, this word stays.
        if let open = (declaration.head..<i).last(where: { program.attributeEnd($0) != nil }),
          let end = program.attributeEnd(open), end > i
        {
          remove(open..<(end + 1))
          edits[i] = "static"
        }
      }
    }
    edits[declaration.nameAt] = Rewriter.kernelPrefix + tokens[declaration.nameAt].text
  }

  /// Address spaces behind a constructor's parameters go in either mode; `constant` does not make it const.
  private mutating func rewriteConstructor(_ declaration: Declaration) {
    guard let parameters = declaration.parameters else { return }
    var i = parameters.upperBound + 1
    while i < tokens.count, tokens[i].isIdentifier {
      if ["constant", "device", "thread", "threadgroup"].contains(tokens[i].text) { edits[i] = "" }
      i += 1
    }
  }

  static let kernelPrefix = "mtl_kernel_"

  /// A variable at namespace scope or in a struct.
  private mutating func rewriteVariable(_ declaration: Declaration) throws {
    let end = declaration.range.first { tokens[$0].is("=") || tokens[$0].is("{") } ?? declaration.range.upperBound
    let specifiers = declaration.head..<end
    let word = specifiers.first { tokens[$0].is("constant") || tokens[$0].is("threadgroup") }
    let isPointer = specifiers.contains { tokens[$0].is("*") || tokens[$0].is("&") }
    let isConstexpr = specifiers.contains { tokens[$0].is("constexpr") }
    if declaration.isMember {
      if let word, tokens[word].is("constant"), !isPointer, isConstexpr { edits[word] = "" }
      if let word, tokens[word].is("threadgroup"), !isPointer {
        throw Fault(tokens[word].place, "a struct's member cannot be threadgroup memory")
      }
      return
    }
    if let word, tokens[word].is("threadgroup") {
      throw Fault(tokens[word].place, "threadgroup variables are declared in a kernel's body, not outside functions")
    }
    // A constexpr member is defined where it is declared.
    if isConstexpr, specifiers.contains(where: { tokens[$0].is("::") && tokens[$0 + 1].is(declaration.name) }) {
      return remove(declaration.range)
    }
    guard let word else {
      throw Fault(
        tokens[declaration.head].place,
        "a variable outside functions must be in the constant address space: write 'constant' before its type")
    }
    if isPointer {
      throw Fault(tokens[word].place, "a variable outside functions cannot be a pointer or reference")
    }
    edits[word] = isConstexpr ? "" : "MTL_CONSTANT"
    for i in specifiers where i != word && (tokens[i].is("static") || tokens[i].is("inline") || tokens[i].is("const")) {
      if tokens[i].is("const"), isConstexpr { continue }
      edits[i] = tokens[i].is("static") && isConstexpr ? nil : ""
    }
    if isConstexpr, !specifiers.contains(where: { tokens[$0].is("static") }) { edits[word] = "static" }
  }

  /// Removes Metal's attributes and refuses unknown ones.
  private mutating func rewriteAttributes() throws {
    for i in tokens.indices {
      guard edits[i] == nil, let end = program.attributeEnd(i) else { continue }
      for attribute in program.attributes(i..<(end + 1)) {
        if Vocabulary.metalAttributes.contains(attribute.name) {
          remove(i..<(end + 1))
        } else if !Vocabulary.keptAttributes.contains(attribute.name), !attribute.name.hasPrefix("clang::"),
          !attribute.name.hasPrefix("gnu::")
        {
          throw Fault(tokens[attribute.at].place, "unknown attribute [[\(attribute.name)]]")
        }
      }
    }
  }

  // MARK: Tokens

  private mutating func rewriteIdentifier(_ i: Int, _ inFunction: Bool) throws {
    let text = tokens[i].text
    if mode == .lint, let word = try AddressSpaces.forLint(program, i, inFunction) {
      edits[i] = word
      return
    }
    switch text {
    case "device", "thread": edits[i] = ""
    case "constant": edits[i] = AddressSpaces.constantIsRedundant(program, i) ? "" : "const"
    case "threadgroup": edits[i] = try AddressSpaces.threadgroup(program, i, inFunction)
    case "simd" where program.is(i + 1, "::"): edits[i] = "metal"
    case _ where Vocabulary.laterKeywords.contains(text) || text.hasPrefix("mtl_") || text.hasPrefix("MTL_"):
      edits[i] = "user_" + text
    default:
      if i > 0, program.is(i - 1, ".") || program.is(i - 1, "->") {
        try rewriteSwizzle(i)
      } else if let plain = Vocabulary.plainVector(text) {
        edits[i] = plain
      }
    }
  }

  /// `::name` names what is declared outside namespaces, which is `home` now.
  private mutating func rewriteGlobal(_ i: Int) {
    guard i + 1 < tokens.count, !tokens[i + 1].is("metal"), !tokens[i + 1].is("simd") else { return }
    if i > 0 {
      let before = tokens[i - 1]
      if before.is(">") || before.is(">>") || (before.isIdentifier && !Vocabulary.wordsBeforeNames.contains(before.text)) { return }
    }
    edits[i] = "\(Rewriter.home)::"
  }

  private static let assignments: Set<String> = [
    "=", "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "<<=", ">>=", "++", "--",
  ]

  private mutating func rewriteSwizzle(_ at: Int) throws {
    // Designated initializers name members.
    if at > 1, tokens[at - 2].is("{") || tokens[at - 2].is(",") { return }
    guard var lanes = swizzle(at) else { return }
    var last = at
    while program.is(last + 1, "."), last + 2 < tokens.count, let next = swizzle(last + 2),
      next.allSatisfy({ $0 < lanes.count }), lanes.count > 1
    {
      lanes = next.map { lanes[$0] }
      last += 2
    }
    var next = last + 1
    // (v.xy) = …
    while program.is(next, ")"), !tokens[program.match[next] - (program.match[next] > 0 ? 1 : 0)].isIdentifier { next += 1 }
    if program.is(next, "["), lanes.count > 1, program.match[next] + 1 < tokens.count,
      Rewriter.assignments.contains(tokens[program.match[next] + 1].text)
    {
      throw Fault(tokens[at].place, "an element of a swizzle cannot be assigned to: write the component's own name")
    }
    let isAssigned = next < tokens.count && Rewriter.assignments.contains(tokens[next].text)
    guard isAssigned || isIncremented(at) else {
      edits[at] = Rewriter.swizzle(swizzle(at)!, "mtl_get")
      return
    }
    // What is assigned to through a swizzle of a swizzle is one swizzle.
    for i in (at + 1)..<max(at + 1, last + 1) { edits[i] = "" }
    edits[at] = Rewriter.swizzle(lanes, "mtl_ref")
  }

  private static func swizzle(_ lanes: [Int], _ function: String) -> String {
    lanes.count == 1
      ? ["x", "y", "z", "w"][lanes[0]]
      : "template \(function)<\(lanes.map(String.init).joined(separator: ","))>()"
  }

  /// The lanes that a member's name stands for.
  private func swizzle(_ at: Int) -> [Int]? {
    let name = tokens[at].text
    guard tokens[at].isIdentifier, name.utf8.count <= 4, !program.memberNames.contains(name), !program.is(at + 1, "(")
    else { return nil }
    for letters in ["xyzw", "rgba"] {
      let lanes = name.compactMap { letters.firstIndex(of: $0).map { letters.distance(from: letters.startIndex, to: $0) } }
      if lanes.count == name.count { return lanes }
    }
    return nil
  }

  /// Whether `++` or `--` stands before the expression whose member is at `at`.
  private func isIncremented(_ at: Int) -> Bool {
    var i = at - 2
    while i >= 0 {
      if program.match[i] >= 0, program.match[i] < i {
        i = program.match[i] - 1
        if i >= 0, tokens[i].isIdentifier { continue }
        if i >= 0, program.match[i] >= 0, program.match[i] < i { continue }
      } else if tokens[i].isIdentifier {
        i -= 1
      } else {
        return tokens[i].is("++") || tokens[i].is("--")
      }
      if i >= 0, tokens[i].is(".") || tokens[i].is("->") || tokens[i].is("::") {
        i -= 1
        continue
      }
      return i >= 0 && (tokens[i].is("++") || tokens[i].is("--"))
    }
    return false
  }

  // MARK: Overloads

  /// Functions and specializations that differ in address spaces alone are one once those are gone.
  private mutating func removeTwins() throws {
    var seen: [String: (header: Int, body: String)] = [:]
    for (number, declaration) in program.declarations.enumerated()
    where declaration.kind == .record || (declaration.kind == .function && (declaration.body != nil || declaration.isMember)) {
      let end = declaration.body?.lowerBound ?? declaration.range.upperBound
      let header = rewritten(declaration.range.lowerBound..<end)
      let key = "\(declaration.parent ?? -1)|\(declaration.path.joined(separator: "::"))|\(header)"
      let body = declaration.body.map(rewritten) ?? ""
      guard let first = seen[key] else {
        seen[key] = (number, body)
        continue
      }
      // Two that were the same to begin with are an error that the compiler reports.
      let other = program.declarations[first.header]
      let source = tokens[declaration.range.lowerBound..<end].map(\.text)
      let otherEnd = other.body?.lowerBound ?? other.range.upperBound
      if source == tokens[other.range.lowerBound..<otherEnd].map(\.text) { continue }
      guard body == first.body else {
        throw Fault(
          tokens[declaration.head].place,
          "'\(declaration.name)' differs from the one of line \(tokens[other.head].place.line) in address spaces alone, "
            + "and their bodies differ: give them two names")
      }
      remove(declaration.range)
    }
  }

  private func rewritten(_ range: Range<Int>) -> String {
    var out = ""
    for i in range {
      let text = edits[i] ?? tokens[i].text
      if !text.isEmpty { out += text + " " }
    }
    return out
  }
}
