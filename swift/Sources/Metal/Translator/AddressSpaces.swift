/// What becomes of the words `constant` and `threadgroup`.
enum AddressSpaces {
  /// Whether a `const` stands by the word already.
  static func constantIsRedundant(_ program: Program, _ at: Int) -> Bool {
    let tokens = program.tokens
    var i = at - 1
    while i >= 0, ["const", "static", "constexpr", "inline", "volatile", "typename"].contains(tokens[i].text) {
      if tokens[i].is("const") { return true }
      i -= 1
    }
    i = at + 1
    while i < tokens.count, tokens[i].isIdentifier || tokens[i].is("::") || tokens[i].is("<") {
      if tokens[i].is("const") { return true }
      if tokens[i].is("<") {
        guard let end = program.closingAngle(i) else { return false }
        i = end
      }
      i += 1
    }
    return false
  }

  private static let words: Set<String> = ["unsigned", "signed", "int", "short", "char", "long", "float", "half", "bool"]
  private static let specifiers: Set<String> = [
    "const", "volatile", "static", "constexpr", "typename", "struct", "class", "union", "threadgroup",
  ]

  /// Behind the type that starts at `start`.
  static func typeEnd(_ program: Program, _ start: Int) -> Int {
    var i = start
    let tokens = program.tokens
    while i < tokens.count {
      if let end = program.attributeEnd(i) { i = end + 1 }
      else if program.is(i, "alignas"), program.is(i + 1, "(") { i = program.match[i + 1] + 1 }
      else if specifiers.contains(tokens[i].text) { i += 1 }
      else { break }
    }
    guard i < tokens.count else { return i }
    if words.contains(tokens[i].text) {
      while i < tokens.count, words.contains(tokens[i].text) { i += 1 }
    } else if program.is(i, "decltype"), program.is(i + 1, "(") {
      i = program.match[i + 1] + 1
    } else {
      if program.is(i, "::") { i += 1 }
      while i < tokens.count, tokens[i].isIdentifier {
        i += 1
        if program.is(i, "<"), let end = program.closingAngle(i) { i = end + 1 }
        guard program.is(i, "::") else { break }
        i += 1
        if program.is(i, "template") { i += 1 }
      }
    }
    while program.is(i, "const") || program.is(i, "volatile") { i += 1 }
    return i
  }

  /// `threadgroup` declares memory where a name follows the type; before pointers and references it only qualifies.
  static func threadgroup(_ program: Program, _ at: Int, _ inFunction: Bool) throws -> String {
    let tokens = program.tokens
    let place = tokens[at].place
    if at > 0, tokens[at - 1].is("*") || tokens[at - 1].is("&") {
      // `T threadgroup* threadgroup p`: the pointer itself would be shared.
      if at + 1 < tokens.count, tokens[at + 1].isIdentifier {
        throw Fault(place, "a pointer cannot itself be threadgroup memory here: use threadgroup memory of integers")
      }
      return ""
    }
    let end = typeEnd(program, at + 1)
    guard end < tokens.count, tokens[end].isIdentifier, end > at + 1, end + 1 < tokens.count else { return "" }
    let follows = tokens[end + 1].text
    guard ["[", ";", ",", "=", "{", "(", ")"].contains(follows) else { return "" }
    // In parentheses it is a parameter.
    var i = at - 1
    while i >= 0, !tokens[i].is(";"), !tokens[i].is("{"), !tokens[i].is("}") {
      if tokens[i].is("("), program.match[i] > at {
        // An array there is a pointer.
        if follows == "[" { return "" }
        throw Fault(place, "a parameter cannot be threadgroup memory by value: pass 'threadgroup T*'")
      }
      if program.match[i] >= 0, program.match[i] < i { i = program.match[i] }
      i -= 1
    }
    guard inFunction, follows != ")" else { return "" }
    // All of the statement's names must be memory too.
    i = end
    while i < tokens.count, !tokens[i].is(";") {
      if tokens[i].is("="), program.match[i] < 0 {
        throw Fault(tokens[i].place, "threadgroup memory cannot be initialized: assign to it, then use a barrier")
      }
      if tokens[i].is("{") || tokens[i].is("(") {
        throw Fault(tokens[i].place, "threadgroup memory cannot be initialized: assign to it, then use a barrier")
      }
      if tokens[i].is(","), program.is(i + 1, "*") || program.is(i + 1, "&") {
        throw Fault(tokens[i + 1].place, "declare threadgroup memory and pointers to it in two statements")
      }
      if program.match[i] > i { i = program.match[i] }
      i += 1
    }
    return "MTL_THREADGROUP"
  }
}
