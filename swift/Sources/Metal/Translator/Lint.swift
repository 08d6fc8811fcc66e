/// What Apple's front end refuses and the engines would run: for shaders that are to be good everywhere.
struct Lint {
  private let program: Program
  private let kernels: Set<Int>
  private var tokens: [Token] { program.tokens }

  init(_ program: Program, _ kernels: Set<Int>) {
    self.program = program
    self.kernels = kernels
  }

  /// What clang is called with, for the text behind prelude/lint.h and the rest of the prelude.
  static let options = [
    "-x", "clcpp", "-cl-std=clc++2021", "-cl-no-stdinc", "-fsyntax-only", "-fsigned-char", "-Wno-everything",
    "-ferror-limit=0",
  ]

  func check() throws {
    var faults: [Fault] = []
    for (number, declaration) in program.declarations.enumerated() {
      switch declaration.kind {
      case .function:
        for part in declaration.parameters.map(program.split) ?? [] { checkPointer(part, &faults) }
        if let body = declaration.body { checkBody(body, isKernel: kernels.contains(number), &faults) }
        if kernels.contains(number) { checkBuiltins(declaration, &faults) }
      case .variable where declaration.isMember: checkMember(declaration, &faults)
      default: break
      }
    }
    if !faults.isEmpty {
      throw Faults(all: faults.sorted { ($0.place.file, $0.place.line, $0.place.column) < ($1.place.file, $1.place.line, $1.place.column) })
    }
  }

  private static let spaces: Set<String> = ["device", "constant", "threadgroup", "thread"]

  /// A parameter's or member's pointer or reference names its address space.
  private func checkPointer(_ range: Range<Int>, _ faults: inout [Fault]) {
    guard let mark = firstMark(range), !tokens[range.lowerBound..<mark].contains(where: { Lint.spaces.contains($0.text) })
    else { return }
    let what = tokens[mark].is("*") ? "pointer" : "reference"
    // Forwarding references take the space of what they are given.
    if tokens[mark].is("&&") { return }
    faults.append(
      Fault(tokens[range.lowerBound].place, "a \(what) needs its address space: write 'thread', 'device', 'constant' or 'threadgroup'"))
  }

  /// The first `*` or `&` outside brackets.
  private func firstMark(_ range: Range<Int>) -> Int? {
    var i = range.lowerBound
    while i < range.upperBound, !tokens[i].is("=") {
      if tokens[i].is("*") || tokens[i].is("&") || tokens[i].is("&&") { return i }
      if tokens[i].is("<"), let end = program.closingAngle(i), end < range.upperBound { i = end }
      if program.match[i] > i {
        // T (&x)[4]
        if program.is(i, "("), program.is(i + 1, "&") || program.is(i + 1, "*") { return i + 1 }
        i = program.match[i]
      }
      i += 1
    }
    return nil
  }

  private func checkMember(_ declaration: Declaration, _ faults: inout [Fault]) {
    checkPointer(declaration.head..<declaration.range.upperBound, &faults)
    let end = declaration.range.first { tokens[$0].is("=") || tokens[$0].is("{") } ?? declaration.range.upperBound
    let specifiers = tokens[declaration.head..<end]
    if specifiers.contains(where: { $0.is("static") }), !specifiers.contains(where: { $0.is("constant") }) {
      faults.append(Fault(tokens[declaration.head].place, "a static member must be in the constant address space: write 'constant'"))
    }
  }

  private func checkBody(_ body: Range<Int>, isKernel: Bool, _ faults: inout [Fault]) {
    for i in body {
      let token = tokens[i]
      if token.is("static") {
        var end = i
        while end < body.upperBound, !["=", ";", "(", "{"].contains(tokens[end].text) { end += 1 }
        if !tokens[i..<end].contains(where: { $0.is("constant") }) {
          faults.append(Fault(token.place, "a static variable must be in the constant address space: write 'constant'"))
        }
      }
      if token.is("threadgroup"), !isKernel, (try? AddressSpaces.threadgroup(program, i, true)) == "MTL_THREADGROUP" {
        faults.append(Fault(token.place, "threadgroup variables are declared in kernels alone: pass a 'threadgroup T*'"))
      }
      if [";", "{", "}", "("].contains(token.text), i + 1 < body.upperBound { checkLocal(i + 1, &faults) }
      if token.is("*") || token.is("&") { checkCast(i, body, &faults) }
    }
  }

  private static let statements: Set<String> = [
    "return", "if", "for", "while", "do", "else", "switch", "case", "default", "break", "continue", "using", "typedef",
    "auto", "sizeof", "operator", "template", "struct",
  ]

  /// A statement `T* name` or `T& name` declares.
  private func checkLocal(_ start: Int, _ faults: inout [Fault]) {
    guard tokens[start].isIdentifier, !Lint.statements.contains(tokens[start].text) else { return }
    var i = start
    while ["const", "constexpr", "volatile"].contains(tokens[i].text) { i += 1 }
    if Lint.spaces.contains(tokens[i].text) || tokens[i].is("auto") || tokens[i].is("static") { return }
    let end = AddressSpaces.typeEnd(program, i)
    guard end > i, program.is(end, "*") || program.is(end, "&"), end + 2 < tokens.count,
      !tokens[i..<end].contains(where: { Lint.spaces.contains($0.text) })
    else { return }
    var name = end + 1
    while ["const", "volatile", "__restrict", "restrict", "*"].contains(tokens[name].text) { name += 1 }
    let isOpen = program.is(start - 1, "(")
    guard tokens[name].isIdentifier, name + 1 < tokens.count,
      (isOpen ? ["=", ":"] : ["=", ";", ",", ":", "[", "{"]).contains(tokens[name + 1].text)
    else { return }
    let what = tokens[end].is("*") ? "pointer" : "reference"
    faults.append(Fault(tokens[start].place, "a \(what) needs its address space: write 'thread', 'device', 'constant' or 'threadgroup'"))
  }

  /// `(T*)x`, `static_cast<T*>(x)`.
  private func checkCast(_ at: Int, _ body: Range<Int>, _ faults: inout [Fault]) {
    guard program.is(at + 1, ")") || program.is(at + 1, ">"), at > body.lowerBound else { return }
    var start = at - 1
    while start > body.lowerBound, tokens[start].isIdentifier || ["::", "*", ">", "<", ","].contains(tokens[start].text) {
      if program.is(at + 1, ">"), tokens[start].is("<"), tokens[start - 1].text.hasSuffix("_cast") { break }
      start -= 1
    }
    let type = tokens[(start + 1)..<at]
    guard !type.isEmpty, tokens[start].is("(") || tokens[start].is("<"),
      !type.contains(where: { Lint.spaces.contains($0.text) || $0.is("auto") })
    else { return }
    faults.append(Fault(type.first!.place, "a pointer type needs its address space: write 'thread', 'device', 'constant' or 'threadgroup'"))
  }

  /// Positions and sizes of one kernel have one number of components.
  private func checkBuiltins(_ declaration: Declaration, _ faults: inout [Fault]) {
    var first: (size: Int, name: String)?
    for part in declaration.parameters.map(program.split) ?? [] {
      guard let attribute = program.attributes(part).first(where: { KernelReader.vectorBuiltins.contains($0.name) }),
        let type = tokens[part].first(where: { $0.text.hasPrefix("uint") || $0.text.hasPrefix("ushort") })
      else { continue }
      let size = type.text.last.flatMap(\.wholeNumberValue).flatMap { $0 <= 3 ? $0 : nil } ?? 1
      if let first, first.size != size {
        faults.append(
          Fault(tokens[part.lowerBound].place, "[[\(attribute.name)]] must have as many components as [[\(first.name)]]"))
      }
      first = first ?? (size, attribute.name)
    }
  }
}
