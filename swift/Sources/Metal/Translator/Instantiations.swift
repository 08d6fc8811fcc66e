/// An explicit instantiation of a kernel template.
struct Instantiation: Sendable {
  let range: Range<Int>
  let kernel: Int
  let hostName: String
  /// What stands between `<` and `>`, one by one, as written or as the parameters' types tell.
  let arguments: [[Token]]
  let nameAt: Int
}

extension KernelReader {
  /// `template [[host_name("x")]] [[kernel]] void f<A>(…);`, also with `decltype(f<A>) f<A>;` or a name for that type,
  /// or without `<A>` where the parameters tell. nil for what is no kernel's. `kernels` are templates by simple name.
  func instantiation(_ declaration: Declaration, _ kernels: [String: [Int]], _ definitions: [KernelDeclaration]) throws
    -> Instantiation?
  {
    let tokens = program.tokens
    let range = declaration.range
    let attributes = program.attributes(range)
    var isKernel = attributes.contains { $0.name == "kernel" || $0.name == "host_name" }
    var candidate: Int?
    var i = range.lowerBound + 1
    while i < range.upperBound, candidate == nil {
      if let end = program.attributeEnd(i) {
        i = end + 1
        continue
      }
      if tokens[i].is("kernel") { isKernel = true }
      if tokens[i].isIdentifier, kernels[tokens[i].text] != nil, program.is(i + 1, "<") || program.is(i + 1, "(") {
        candidate = i
      } else if tokens[i].isIdentifier, program.is(i + 1, "<"), let end = program.closingAngle(i + 1) {
        i = end
      } else if program.match[i] > i {
        i = program.match[i]
      }
      i += 1
    }
    let place = tokens[range.lowerBound].place
    guard let nameAt = candidate else {
      if isKernel {
        throw Fault(place, "an explicit instantiation must name a kernel template of this source with its arguments: 'f<…>'")
      }
      return nil
    }
    let choices = kernels[tokens[nameAt].text]!
    var chosen: (kernel: Int, arguments: [[Token]])?
    if program.is(nameAt + 1, "<"), let close = program.closingAngle(nameAt + 1) {
      let arguments = program.split((nameAt + 2)..<close).map { Array(tokens[$0]) }
      chosen = choices.first { takes(definitions[$0], arguments) }.map { ($0, arguments) }
    } else if program.match[nameAt + 1] > nameAt {
      let types = program.split((nameAt + 2)..<program.match[nameAt + 1])
      chosen = choices.lazy.compactMap { kernel in
        deduced(definitions[kernel], types).map { (kernel, $0) }
      }.first
    }
    guard let chosen else {
      throw Fault(tokens[nameAt].place, "no template of kernel '\(tokens[nameAt].text)' takes these arguments")
    }
    let host = attributes.first { $0.name == "host_name" }
    let text = chosen.arguments.map(\.spelled).joined(separator: ", ")
    return Instantiation(
      range: range, kernel: chosen.kernel, hostName: try host.map(hostName) ?? "\(tokens[nameAt].text)<\(text)>",
      arguments: chosen.arguments, nameAt: nameAt)
  }

  /// Whether the arguments are as many as the template wants, and types where it wants types.
  private func takes(_ kernel: KernelDeclaration, _ arguments: [[Token]]) -> Bool {
    let parameters = kernel.templateParameters
    if parameters.last?.isPack == true { return arguments.count >= parameters.count - 1 }
    guard arguments.count <= parameters.count else { return false }
    for (i, parameter) in parameters.enumerated() {
      guard i < arguments.count else {
        if parameter.fallback.isEmpty { return false }
        continue
      }
      guard arguments[i].count == 1, let only = arguments[i].first else { continue }
      let isValue = only.kind == .number || only.is("true") || only.is("false")
      if parameter.isType ? isValue : KernelReader.scalarTypes.contains(only.text) { return false }
    }
    return true
  }

  private static let scalarTypes: Set<String> = [
    "float", "half", "bfloat", "int", "uint", "short", "ushort", "char", "uchar", "long", "ulong", "bool", "int8_t",
    "uint8_t", "int16_t", "uint16_t", "int32_t", "uint32_t", "int64_t", "uint64_t", "size_t",
  ]

  /// The template's arguments from the types of its parameters, compared token by token.
  private func deduced(_ kernel: KernelDeclaration, _ types: [Range<Int>]) -> [[Token]]? {
    guard let range = program.declarations[kernel.declaration].parameters else { return nil }
    let parameters = program.split(range)
    guard parameters.count == types.count else { return nil }
    var found: [String: [Token]] = [:]
    let names = Set(kernel.templateParameters.map(\.name))
    for (parameter, type) in zip(parameters, types) {
      let wanted = withoutAttributes(parameter)
      let given = withoutAttributes(type)
      var j = 0
      for (i, token) in wanted.enumerated() {
        guard token.isIdentifier, names.contains(token.text) else {
          // The parameter's own name may differ or be absent.
          guard j < given.count, given[j].text == token.text else { break }
          j += 1
          continue
        }
        let end = i + 1 < wanted.count ? wanted[i + 1].text : ""
        let start = j
        while j < given.count, given[j].text != end, j == start || given[j].is("::") || given[j - 1].is("::") { j += 1 }
        guard j > start else { return nil }
        found[token.text] = Array(given[start..<j])
      }
    }
    var arguments: [[Token]] = []
    for parameter in kernel.templateParameters {
      guard let value = found[parameter.name] else { return parameter.fallback.isEmpty ? nil : arguments }
      arguments.append(value)
    }
    return arguments
  }

  private func withoutAttributes(_ range: Range<Int>) -> [Token] {
    var out: [Token] = []
    var i = range.lowerBound
    while i < range.upperBound {
      if let end = program.attributeEnd(i) { i = end } else { out.append(program.tokens[i]) }
      i += 1
    }
    return out
  }

  /// The value of [[max_total_threads_per_threadgroup]], and its text with the template's arguments put in.
  func bounds(_ kernel: KernelDeclaration, _ given: [[Token]]) throws -> (value: Int?, text: String?) {
    guard let range = kernel.bounds else { return (nil, nil) }
    let tokens = program.tokens
    var values: [String: [Token]] = [:]
    for (i, parameter) in kernel.templateParameters.enumerated() {
      values[parameter.name] = i < given.count ? given[i] : parameter.fallback
    }
    var text: [Token] = []
    for token in tokens[range] {
      guard token.isIdentifier, let value = values[token.text], !value.isEmpty else {
        text.append(token)
        continue
      }
      text.append(Token(kind: .punctuator, text: "(", place: token.place))
      text += value
      text.append(Token(kind: .punctuator, text: ")", place: token.place))
    }
    let place = tokens[range.lowerBound - 1].place
    guard !text.isEmpty else { throw Fault(place, "[[max_total_threads_per_threadgroup]] needs a number") }
    let integers = constants.integers
    guard let value = try? Expression.evaluate(text, at: place, { integers[$0] }) else { return (nil, text.spelled) }
    guard value > 0, value <= 1024 else {
      throw Fault(place, "max_total_threads_per_threadgroup(\(value)) is not within 1 … 1024")
    }
    return (Int(value), String(value))
  }
}
