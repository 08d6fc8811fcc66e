/// Reads kernels: their attributes and parameters.
struct KernelReader {
  let program: Program
  let constants: FunctionConstants
  private var tokens: [Token] { program.tokens }

  init(_ program: Program, _ constants: FunctionConstants) {
    self.program = program
    self.constants = constants
  }

  /// Scalars that are the same for each axis; the others may have up to three.
  static let scalarBuiltins: Set<String> = [
    "thread_index_in_threadgroup", "thread_index_in_simdgroup", "simdgroup_index_in_threadgroup",
    "simdgroups_per_threadgroup", "dispatch_simdgroups_per_threadgroup", "threads_per_simdgroup",
    "thread_execution_width", "thread_index_in_quadgroup", "quadgroup_index_in_threadgroup",
    "quadgroups_per_threadgroup", "dispatch_quadgroups_per_threadgroup",
  ]
  static let vectorBuiltins: Set<String> = [
    "thread_position_in_grid", "thread_position_in_threadgroup", "threadgroup_position_in_grid",
    "threadgroups_per_grid", "threads_per_grid", "threads_per_threadgroup", "dispatch_threads_per_threadgroup",
    "grid_size", "grid_origin",
  ]

  /// Whether the declaration is a kernel.
  func isKernel(_ declaration: Declaration) -> Bool {
    guard declaration.kind == .function else { return false }
    return (declaration.head..<declaration.nameAt).contains { tokens[$0].is("kernel") && !program.is($0 - 1, "::") }
      || attributes(declaration).contains { $0.name == "kernel" }
  }

  /// Those before the function and behind its parameters.
  func attributes(_ declaration: Declaration) -> [Attribute] {
    guard let parameters = declaration.parameters else { return [] }
    let end = declaration.body?.lowerBound ?? declaration.range.upperBound
    let front = declaration.range.lowerBound..<declaration.nameAt
    return program.attributes(front) + program.attributes((parameters.upperBound + 1)..<end)
  }

  func read(_ number: Int) throws -> KernelDeclaration {
    let declaration = program.declarations[number]
    let name = tokens[declaration.nameAt]
    if declaration.isMember { throw Fault(name.place, "a kernel cannot be a struct's member") }
    if let template = declaration.template, template.isEmpty {
      throw Fault(name.place, "kernels cannot be specialized: write a kernel of another name")
    }
    let result = (declaration.head..<declaration.nameAt).filter { i in
      tokens[i].isIdentifier && !["kernel", "static", "inline", "constexpr", "extern"].contains(tokens[i].text)
        && !program.attributes(declaration.head..<declaration.nameAt).contains { covers($0, i) }
    }
    guard result.count == 1, tokens[result[0]].is("void"), program.is(declaration.nameAt - 1, "void")
      || program.attributeEnd(result[0] + 1) != nil
    else { throw Fault(name.place, "kernel '\(name.text)' must return void") }

    var found = KernelDeclaration(declaration: number, parameters: [], templateParameters: [])
    for attribute in attributes(declaration) {
      switch attribute.name {
      case "host_name": found.hostName = try hostName(attribute)
      case "max_total_threads_per_threadgroup": found.bounds = attribute.arguments
      default: break
      }
    }
    if let template = declaration.template { found.templateParameters = templateParameters(template) }
    found.parameters = try parameters(declaration, kernel: name)
    return found
  }

  private func covers(_ attribute: Attribute, _ at: Int) -> Bool {
    at >= attribute.at && at <= max(attribute.at, attribute.arguments?.upperBound ?? attribute.at)
  }

  func hostName(_ attribute: Attribute) throws -> String {
    guard let arguments = attribute.arguments, !arguments.isEmpty,
      arguments.allSatisfy({ tokens[$0].kind == .string })
    else { throw Fault(tokens[attribute.at].place, "[[host_name]] needs a string") }
    let name = arguments.map { String(tokens[$0].text.dropFirst().dropLast()) }.joined()
    if name.isEmpty { throw Fault(tokens[attribute.at].place, "[[host_name]] is empty") }
    return name
  }

  func templateParameters(_ range: Range<Int>) -> [TemplateParameter] {
    program.split(range).map { part in
      let equals = part.first { tokens[$0].is("=") } ?? part.upperBound
      let name = part.prefix { $0 < equals }.last { tokens[$0].isIdentifier }
      let fallback = equals < part.upperBound ? Array(tokens[(equals + 1)..<part.upperBound]) : []
      let first = tokens[part.lowerBound]
      return TemplateParameter(
        name: name.map { tokens[$0].text } ?? "", isType: first.is("typename") || first.is("class"),
        isPack: part.contains { tokens[$0].is("...") }, fallback: fallback)
    }
  }

  // MARK: Parameters

  private struct Raw {
    let range: Range<Int>
    let name: String
    let place: Place
    let attributes: [Attribute]
    /// Tokens before the name, without attributes.
    let type: [Token]
    let isArray: Bool
  }

  private func parameters(_ declaration: Declaration, kernel: Token) throws -> [Parameter] {
    guard let range = declaration.parameters else { return [] }
    let parts = program.split(range)
    if parts.count == 1, parts[0].count == 1, program.is(parts[0].lowerBound, "void") { return [] }
    let raw = try parts.map(raw)
    var usedBuffers = try explicitIndices(raw, "buffer", limit: 30)
    var usedThreadgroups = try explicitIndices(raw, "threadgroup", limit: 30)
    return try raw.map { try parameter($0, kernel, &usedBuffers, &usedThreadgroups) }
  }

  private func raw(_ range: Range<Int>) throws -> Raw {
    var type: [Token] = []
    var isArray = false
    var i = range.lowerBound
    while i < range.upperBound {
      if let end = program.attributeEnd(i) {
        i = end + 1
        continue
      }
      if program.is(i, "[") {
        isArray = true
        i = program.match[i] + 1
        continue
      }
      if program.is(i, "=") { throw Fault(tokens[i].place, "a kernel's parameters cannot have defaults") }
      type.append(tokens[i])
      i += 1
    }
    var name = ""
    let words = type.filter { $0.isIdentifier || $0.is("*") || $0.is("&") || $0.is(">") }
    if words.count > 1, let last = type.lastIndex(where: { $0.isIdentifier }),
      last == type.count - 1 || type[(last + 1)...].allSatisfy({ $0.is(")") })
    {
      name = type[last].text
      type.remove(at: last)
    }
    return Raw(
      range: range, name: name, place: tokens[range.lowerBound].place, attributes: program.attributes(range),
      type: type, isArray: isArray)
  }

  private func index(_ attribute: Attribute) throws -> Int {
    guard let arguments = attribute.arguments, !arguments.isEmpty else {
      throw Fault(tokens[attribute.at].place, "[[\(attribute.name)]] needs an index")
    }
    let constants = self.constants
    return Int(clamping: try Expression.evaluate(Array(tokens[arguments]), at: tokens[attribute.at].place) { name in
      constants.integers[name]
    })
  }

  private func explicitIndices(_ raw: [Raw], _ name: String, limit: Int) throws -> Set<Int> {
    var used: Set<Int> = []
    for attribute in raw.flatMap(\.attributes) where attribute.name == name {
      let place = tokens[attribute.at].place
      let index = try index(attribute)
      guard index >= 0, index <= limit else {
        throw Fault(place, "\(name) index \(index) is not within 0 … \(limit)")
      }
      guard used.insert(index).inserted else { throw Fault(place, "\(name) index \(index) is used twice") }
    }
    return used
  }

  private func parameter(
    _ raw: Raw, _ kernel: Token, _ buffers: inout Set<Int>, _ threadgroups: inout Set<Int>
  ) throws -> Parameter {
    let label = raw.name.isEmpty ? "a parameter" : "parameter '\(raw.name)'"
    var condition: Int?
    var builtin: Attribute?
    for attribute in raw.attributes {
      let place = tokens[attribute.at].place
      switch attribute.name {
      case "buffer", "threadgroup", "maybe_unused": break
      case "function_constant":
        guard let arguments = attribute.arguments, arguments.count == 1,
          let constant = constants.byName[tokens[arguments.lowerBound].text]
        else { throw Fault(place, "[[function_constant]] of a parameter needs the name of a function constant") }
        condition = constant.index
      case let name where KernelReader.scalarBuiltins.contains(name) || KernelReader.vectorBuiltins.contains(name):
        if builtin != nil { throw Fault(place, "\(label) has two built-in attributes") }
        builtin = attribute
      case "stage_in", "texture", "sampler", "id", "color", "position", "vertex_id", "instance_id", "payload":
        throw Fault(place, "[[\(attribute.name)]] is not supported: kernels take buffers, threadgroup memory and built-ins")
      default: throw Fault(place, "unknown attribute [[\(attribute.name)]] of \(label)")
      }
    }
    let pointer = raw.type.lastIndex { $0.is("*") || $0.is("&") || $0.is("&&") }
    if let builtin {
      if pointer != nil || raw.isArray { throw Fault(raw.place, "\(label) is a built-in and must be a number") }
      try checkBuiltin(raw, builtin, label)
      return Parameter(name: raw.name, kind: .builtin(builtin.name), condition: condition)
    }
    guard pointer != nil || raw.isArray else {
      let wanted = raw.type.filter { !["const", "device", "constant", "thread", "threadgroup"].contains($0.text) }.spelled
      let known = KernelReader.scalarBuiltins.contains(raw.name) || KernelReader.vectorBuiltins.contains(raw.name)
      throw Fault(
        raw.place,
        known
          ? "\(label) needs its attribute: write '\(wanted) \(raw.name) [[\(raw.name)]]'"
          : "\(label) is passed by value: a kernel takes values as 'constant \(wanted)& \(raw.name) [[buffer(n)]]', "
            + "and built-ins with an attribute such as [[thread_position_in_grid]]")
    }
    let end = pointer ?? raw.type.count
    if raw.type[..<end].contains(where: { $0.is("*") || $0.is("&") }) {
      throw Fault(raw.place, "\(label) is a pointer to a pointer: buffers of pointers are not supported")
    }
    let spaces = raw.type[..<end].filter { ["device", "constant", "threadgroup", "thread"].contains($0.text) }
    guard let space = spaces.first, !space.is("thread") else {
      throw Fault(
        raw.place,
        "\(label) is a pointer or reference without an address space: write 'device', 'constant' or 'threadgroup' before its type")
    }
    if spaces.count > 1 { throw Fault(spaces[1].place, "\(label) has two address spaces") }
    func next(_ used: inout Set<Int>, _ name: String) throws -> Int {
      if let given = raw.attributes.first(where: { $0.name == name }) { return try index(given) }
      guard let free = (0...30).first(where: { !used.contains($0) }) else {
        throw Fault(raw.place, "kernel '\(kernel.text)' has more than 31 \(name)s")
      }
      used.insert(free)
      return free
    }
    if space.is("threadgroup") {
      if let wrong = raw.attributes.first(where: { $0.name == "buffer" }) {
        throw Fault(tokens[wrong.at].place, "\(label) is threadgroup memory: write [[threadgroup(n)]]")
      }
      return Parameter(name: raw.name, kind: .threadgroup(index: try next(&threadgroups, "threadgroup")), condition: condition)
    }
    if let wrong = raw.attributes.first(where: { $0.name == "threadgroup" }) {
      throw Fault(tokens[wrong.at].place, "\(label) is a buffer: write [[buffer(n)]]")
    }
    let isReference = pointer.map { !raw.type[$0].is("*") } ?? false
    let isConst = raw.type[..<end].contains { $0.is("const") }
    return Parameter(
      name: raw.name,
      kind: .buffer(
        index: try next(&buffers, "buffer"), isReference: isReference, isConstant: space.is("constant"),
        isWritable: space.is("device") && !isConst),
      condition: condition)
  }

  private static let wrongTypes: Set<String> = [
    "int", "short", "char", "long", "ulong", "uchar", "float", "half", "bool", "size_t", "int2", "int3", "int4",
    "uint4", "ushort4", "float2", "float3", "float4", "short2", "short3", "int32_t", "int64_t", "uint64_t",
  ]

  private func checkBuiltin(_ raw: Raw, _ attribute: Attribute, _ label: String) throws {
    let type = raw.type.filter { !$0.is("const") && !$0.is("metal") && !$0.is("::") }.map(\.text).joined(separator: " ")
    let isScalar = KernelReader.scalarBuiltins.contains(attribute.name)
    let isVector = ["uint2", "uint3", "ushort2", "ushort3"].contains(type)
    if KernelReader.wrongTypes.contains(type) || (isScalar && isVector) {
      let wanted = isScalar ? "uint or ushort" : "uint, uint2, uint3, ushort, ushort2 or ushort3"
      throw Fault(raw.place, "\(label) with [[\(attribute.name)]] must be \(wanted), not \(type)")
    }
  }
}
