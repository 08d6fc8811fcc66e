/// Integer constant expressions: of #if, of attributes.
struct Expression {
  private let tokens: [Token]
  private var at = 0
  private var depth = 0
  private let place: Place
  private let value: (String) -> Int64?

  /// Throws a `Fault` where the tokens are no expression or a name has no value.
  static func evaluate(_ tokens: [Token], at place: Place, _ value: @escaping (String) -> Int64?) throws -> Int64 {
    var expression = Expression(tokens: tokens, place: place, value: value)
    let result = try expression.conditional(true)
    if expression.at < tokens.count { throw expression.unexpected() }
    return result
  }

  private init(tokens: [Token], place: Place, value: @escaping (String) -> Int64?) {
    self.tokens = tokens
    self.place = place
    self.value = value
  }

  private func unexpected() -> Fault {
    at < tokens.count
      ? Fault(tokens[at].place, "unexpected '\(tokens[at].text)' in a constant expression")
      : Fault(place, "the constant expression is not complete")
  }

  private func next(_ text: String) -> Bool { at < tokens.count && tokens[at].is(text) }
  private mutating func accept(_ text: String) -> Bool {
    guard next(text) else { return false }
    at += 1
    return true
  }

  // `live` is false in what && || ?: leave out, where dividing by zero is no fault.
  private mutating func conditional(_ live: Bool) throws -> Int64 {
    depth += 1
    defer { depth -= 1 }
    guard depth <= 256 else { throw Fault(place, "a constant expression nested more than 256 deep") }
    let test = try binary(0, live)
    guard accept("?") else { return test }
    let yes = try conditional(live && test != 0)
    guard accept(":") else { throw unexpected() }
    let no = try conditional(live && test == 0)
    return test != 0 ? yes : no
  }

  private static let levels: [[String]] = [
    ["||"], ["&&"], ["|"], ["^"], ["&"], ["==", "!="], ["<", ">", "<=", ">="], ["<<", ">>"], ["+", "-"], ["*", "/", "%"],
  ]

  private mutating func binary(_ level: Int, _ live: Bool) throws -> Int64 {
    guard level < Expression.levels.count else { return try unary(live) }
    var left = try binary(level + 1, live)
    while at < tokens.count, tokens[at].kind == .punctuator, Expression.levels[level].contains(tokens[at].text) {
      let op = tokens[at]
      at += 1
      let decided = op.is("||") ? left != 0 : op.is("&&") ? left == 0 : false
      let right = try binary(level + 1, live && !decided)
      left = try apply(op, left, right, live)
    }
    return left
  }

  private func apply(_ op: Token, _ a: Int64, _ b: Int64, _ live: Bool) throws -> Int64 {
    switch op.text {
    case "||": return a != 0 || b != 0 ? 1 : 0
    case "&&": return a != 0 && b != 0 ? 1 : 0
    case "|": return a | b
    case "^": return a ^ b
    case "&": return a & b
    case "==": return a == b ? 1 : 0
    case "!=": return a != b ? 1 : 0
    case "<": return a < b ? 1 : 0
    case ">": return a > b ? 1 : 0
    case "<=": return a <= b ? 1 : 0
    case ">=": return a >= b ? 1 : 0
    case "<<": return a << b
    case ">>": return a >> b
    case "+": return a &+ b
    case "-": return a &- b
    case "*": return a &* b
    default:
      if b == 0 || (a == .min && b == -1) {
        if !live { return 0 }
        throw Fault(op.place, "division by zero in a constant expression")
      }
      return op.is("/") ? a / b : a % b
    }
  }

  private mutating func unary(_ live: Bool) throws -> Int64 {
    var operators: [String] = []
    while at < tokens.count, tokens[at].kind == .punctuator, ["!", "~", "-", "+"].contains(tokens[at].text) {
      operators.append(tokens[at].text)
      at += 1
    }
    var result = try primary(live)
    for op in operators.reversed() {
      switch op {
      case "!": result = result == 0 ? 1 : 0
      case "~": result = ~result
      case "-": result = 0 &- result
      default: break
      }
    }
    return result
  }

  private mutating func primary(_ live: Bool) throws -> Int64 {
    if accept("(") {
      let inside = try conditional(live)
      guard accept(")") else { throw unexpected() }
      return inside
    }
    guard at < tokens.count else { throw unexpected() }
    let token = tokens[at]
    switch token.kind {
    case .number:
      guard let number = Expression.integer(token.text) else { throw unexpected() }
      at += 1
      return number
    case .character:
      let inside = token.text.unicodeScalars.dropFirst().dropLast()
      guard inside.count == 1, let scalar = inside.first else { throw unexpected() }
      at += 1
      return Int64(scalar.value)
    case .identifier:
      guard let known = value(token.text) else { throw unexpected() }
      at += 1
      return known
    default: throw unexpected()
    }
  }

  /// The value of an integer literal.
  static func integer(_ text: String) -> Int64? {
    var digits = text.lowercased().filter { $0 != "'" }[...]
    while let last = digits.last, last == "u" || last == "l" { digits.removeLast() }
    var radix = 10
    if digits.hasPrefix("0x") {
      radix = 16
      digits = digits.dropFirst(2)
    } else if digits.hasPrefix("0b") {
      radix = 2
      digits = digits.dropFirst(2)
    } else if digits.count > 1, digits.hasPrefix("0") {
      radix = 8
    }
    return UInt64(digits, radix: radix).map { Int64(bitPattern: $0) }
  }
}
