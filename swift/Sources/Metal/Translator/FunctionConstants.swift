/// The value that the host gives a function constant.
enum FunctionConstant: Hashable, Sendable {
  case bool(Bool)
  case int(Int64)
  case uint(UInt64)
  case float(Float)
  case vector([FunctionConstant])

  /// As C++, of the declared type.
  func literal(_ type: String) -> String {
    switch self {
    case .bool(let value): "\(type)(\(value))"
    case .int(let value): value == .min ? "\(type)(-9223372036854775807L - 1L)" : "\(type)(\(value)L)"
    case .uint(let value): "\(type)(\(value)UL)"
    case .float(let value):
      value.isNaN
        ? "\(type)(::metal::numeric_limits<float>::quiet_NaN())"
        : value.isInfinite
          ? "\(type)(\(value < 0 ? "-" : "")::metal::numeric_limits<float>::infinity())" : "\(type)(\(value)f)"
    case .vector(let values):
      "\(type)(" + values.map { $0.literal(FunctionConstant.element(type)) }.joined(separator: ", ") + ")"
    }
  }

  private static func element(_ type: String) -> String {
    type.last.map { "234".contains($0) } == true ? String(type.dropLast()) : type
  }
}

/// `constant T name [[function_constant(index)]];`
struct FunctionConstantDeclaration: Sendable {
  let name: String
  let index: Int
  let type: String
  let declaration: Int
  let place: Place
  /// The attribute with its brackets.
  let attribute: Range<Int>
}

/// The function constants of a program, and the integers among its constants that attributes may use.
struct FunctionConstants: Sendable {
  private(set) var all: [FunctionConstantDeclaration] = []
  private(set) var byName: [String: FunctionConstantDeclaration] = [:]
  private(set) var integers: [String: Int64] = [:]

  init(_ program: Program) throws {
    var byIndex: [Int: FunctionConstantDeclaration] = [:]
    for (number, declaration) in program.declarations.enumerated()
    where declaration.kind == .variable && !declaration.isMember {
      let range = declaration.range
      if let attribute = program.attributes(range).first(where: { $0.name == "function_constant" }) {
        let found = try FunctionConstants.read(program, number, attribute, integers)
        if let other = byIndex[found.index] {
          throw Fault(
            found.place, "function constants '\(other.name)' and '\(found.name)' both have index \(found.index)")
        }
        byIndex[found.index] = found
        byName[found.name] = found
        all.append(found)
      } else if declaration.names.count == 1, let equals = range.first(where: { program.tokens[$0].is("=") }) {
        let known = integers
        let value = Array(program.tokens[(equals + 1)..<(range.upperBound - 1)])
        integers[declaration.name] = try? Expression.evaluate(value, at: .start) { known[$0] }
      }
    }
  }

  private static func read(
    _ program: Program, _ number: Int, _ attribute: Attribute, _ integers: [String: Int64]
  ) throws -> FunctionConstantDeclaration {
    let declaration = program.declarations[number]
    let tokens = program.tokens
    let place = tokens[attribute.at].place
    guard let arguments = attribute.arguments, !arguments.isEmpty else {
      throw Fault(place, "[[function_constant]] needs an index")
    }
    let index = try Expression.evaluate(Array(tokens[arguments]), at: place) { integers[$0] }
    guard index >= 0, index <= 65535 else { throw Fault(place, "function constant index \(index) is not within 0 … 65535") }
    let open = (declaration.head..<attribute.at).last { program.attributeEnd($0) != nil } ?? attribute.at
    let end = (program.attributeEnd(open) ?? open) + 1
    guard declaration.names.count == 1, program.is(end, ";"), declaration.template == nil else {
      throw Fault(place, "a function constant is declared alone and without a value: 'constant T name [[function_constant(n)]];'")
    }
    let type = (declaration.head..<(open - 1)).filter {
      !["constant", "const", "static", "extern", "constexpr"].contains(tokens[$0].text)
    }
    guard (declaration.head..<open).contains(where: { tokens[$0].is("constant") }) else {
      throw Fault(place, "a function constant needs the address space: 'constant T name [[function_constant(n)]];'")
    }
    if type.isEmpty || type.contains(where: { tokens[$0].is("*") || tokens[$0].is("&") }) {
      throw Fault(place, "a function constant must be a number or a vector of numbers")
    }
    return FunctionConstantDeclaration(
      name: declaration.name, index: Int(index), type: type.map { tokens[$0] }.spelled, declaration: number,
      place: tokens[open - 1].place, attribute: open..<end)
  }
}

/// Which top-level declarations a kernel can reach, by the names that it uses.
struct Reachability {
  private let program: Program
  private var byName: [String: [Int]] = [:]
  private var uses: [Int: (names: Set<String>, queried: Set<String>)] = [:]

  init(_ program: Program) {
    self.program = program
    for (number, declaration) in program.declarations.enumerated() where !declaration.isMember {
      for name in declaration.names { byName[name, default: []].append(number) }
    }
  }

  /// The names that a range uses; those only asked for by is_function_constant_defined apart.
  private func names(_ range: Range<Int>) -> (names: Set<String>, queried: Set<String>) {
    var used: Set<String> = []
    var queried: Set<String> = []
    var i = range.lowerBound
    while i < range.upperBound {
      let token = program.tokens[i]
      if token.is("is_function_constant_defined"), program.is(i + 1, "("), i + 2 < range.upperBound {
        queried.insert(program.tokens[i + 2].text)
        i += 3
      } else if token.isIdentifier {
        used.insert(token.text)
      }
      i += 1
    }
    return (used, queried)
  }

  mutating func constants(from declaration: Int, and extra: some Sequence<Token>, _ known: FunctionConstants) -> [ConstantUse] {
    var used = Set(extra.filter(\.isIdentifier).map(\.text))
    var queried: Set<String> = []
    var seen: Set<Int> = [declaration]
    var work = [declaration]
    var fresh = used
    while true {
      while let next = work.popLast() {
        let found = uses[next] ?? names(program.declarations[next].range)
        uses[next] = found
        queried.formUnion(found.queried)
        fresh.formUnion(found.names.subtracting(used))
        used.formUnion(found.names)
      }
      for name in fresh {
        for number in byName[name] ?? [] where seen.insert(number).inserted { work.append(number) }
      }
      fresh = []
      if work.isEmpty { break }
    }
    return known.all.filter { used.contains($0.name) }
      .map { ConstantUse(index: $0.index, name: $0.name, type: $0.type, isRequired: !queried.contains($0.name)) }
      .sorted { $0.index < $1.index }
  }
}
