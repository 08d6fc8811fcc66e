/// Something declared at namespace scope or in a struct, as ranges of tokens.
struct Declaration: Sendable {
  enum Kind: Sendable { case function, variable, record, alias, instantiation, usingNamespace, other }
  var kind: Kind
  /// Names that it declares.
  var names: [String] = []
  /// The token that names a function.
  var nameAt = 0
  /// All of it, `template <…>` and the final `;` or `}` included.
  var range: Range<Int>
  /// Behind `template <…>`.
  var head: Int
  /// What stands between the last `template <` and its `>`.
  var template: Range<Int>?
  /// Between a function's parentheses.
  var parameters: Range<Int>?
  /// With the braces (a constructor's initializers belong to it).
  var body: Range<Int>?
  /// The namespaces and structs around it.
  var path: [String]
  var isMember: Bool
  /// Directly in another declaration (a struct's), by number.
  var parent: Int?

  var name: String { names.first ?? "" }
  var isTemplate: Bool { template != nil }
}

/// `name` or `name(arguments)` in `[[…]]`.
struct Attribute: Sendable {
  let name: String
  let at: Int
  let arguments: Range<Int>?
}

/// The tokens of a program with their structure.
struct Program: Sendable {
  private(set) var tokens: [Token]
  /// The partner of each bracket, -1 for other tokens.
  private(set) var match: [Int]
  var declarations: [Declaration] = []
  /// Where each `namespace metal { … }` of the source starts and ends.
  var reopened: [(start: Int, end: Int)] = []
  var usesNamespaceMetal = false
  /// Members of any struct: no swizzles.
  var memberNames: Set<String> = []

  init(_ tokens: [Token]) throws {
    self.tokens = tokens
    match = try Program.brackets(tokens)
    var parser = StructureParser(program: self)
    try parser.scope(0..<tokens.count, path: [], parent: nil)
    self = parser.program
    collectLocalMembers()
  }

  func `is`(_ at: Int, _ text: String) -> Bool { at >= 0 && at < tokens.count && tokens[at].is(text) }

  private static func brackets(_ tokens: [Token]) throws -> [Int] {
    var match = [Int](repeating: -1, count: tokens.count)
    var open: [Int] = []
    for (i, token) in tokens.enumerated() where token.kind == .punctuator && token.text.utf8.count == 1 {
      switch token.text {
      case "(", "[", "{":
        open.append(i)
        if open.count > 256 { throw Fault(token.place, "brackets nested more than 256 deep") }
      case ")", "]", "}":
        guard let start = open.popLast() else { throw Fault(token.place, "unmatched '\(token.text)'") }
        let wanted = tokens[start].is("(") ? ")" : tokens[start].is("[") ? "]" : "}"
        guard token.text == wanted else {
          throw Fault(token.place, "expected '\(wanted)' for the '\(tokens[start].text)' of line \(tokens[start].place.line)")
        }
        match[start] = i
        match[i] = start
      default: break
      }
    }
    if let start = open.last { throw Fault(tokens[start].place, "unmatched '\(tokens[start].text)'") }
    return match
  }

  /// The token that closes the `<` at `start`; a `>>` may close two.
  func closingAngle(_ start: Int) -> Int? {
    var depth = 0
    var i = start
    while i < tokens.count {
      let token = tokens[i]
      if token.kind == .punctuator {
        switch token.text {
        // Behind anything but a name it compares.
        case "<": if i == start || tokens[i - 1].isIdentifier { depth += 1 }
        case ">": depth -= 1
        case ">>": depth -= 2
        case "(", "[", "{": i = match[i]
        case ";", ")", "]", "}": return nil
        default: break
        }
        if depth <= 0 { return i }
      }
      i += 1
    }
    return nil
  }

  /// The end of `[[…]]` that starts at `at`, or nil where none does.
  func attributeEnd(_ at: Int) -> Int? {
    guard self.is(at, "["), self.is(at + 1, "["), match[at] == match[at + 1] + 1 else { return nil }
    return match[at]
  }

  func attributes(_ range: Range<Int>) -> [Attribute] {
    var all: [Attribute] = []
    var i = range.lowerBound
    while i < range.upperBound {
      if let end = attributeEnd(i) {
        var at = i + 2
        while at < end - 1 {
          if tokens[at].isIdentifier {
            var name = tokens[at].text
            let start = at
            while self.is(at + 1, "::"), at + 2 < end - 1 {
              name += "::" + tokens[at + 2].text
              at += 2
            }
            let hasArguments = self.is(at + 1, "(")
            all.append(Attribute(name: name, at: start, arguments: hasArguments ? (at + 2)..<match[at + 1] : nil))
            if hasArguments { at = match[at + 1] }
          }
          at += 1
        }
        i = end
      } else if match[i] > i, !self.is(i, "[") {
        i = match[i]
      }
      i += 1
    }
    return all
  }

  /// Splits at commas outside brackets and angles.
  func split(_ range: Range<Int>) -> [Range<Int>] {
    var parts: [Range<Int>] = []
    var start = range.lowerBound
    var i = start
    while i < range.upperBound {
      if self.is(i, ",") {
        parts.append(start..<i)
        start = i + 1
      } else if match[i] > i {
        i = match[i]
      } else if self.is(i, "<"), i > range.lowerBound, tokens[i - 1].isIdentifier, let end = closingAngle(i),
        end <= range.upperBound
      {
        // A `>>` right behind the range closes this one too.
        i = end
      }
      i += 1
    }
    if start < range.upperBound { parts.append(start..<range.upperBound) }
    return parts
  }

  /// Structs in function bodies declare members too.
  private mutating func collectLocalMembers() {
    for body in declarations.filter({ $0.kind == .function }).compactMap(\.body) {
      for i in body where tokens[i].is("struct") || tokens[i].is("union") || tokens[i].is("class") {
        let brace = tokens[i + 1].isIdentifier ? i + 2 : i + 1
        guard self.is(brace, "{"), match[brace] > brace else { continue }
        var parser = StructureParser(program: self)
        if (try? parser.scope((brace + 1)..<match[brace], path: [], parent: 0)) != nil {
          memberNames.formUnion(parser.program.memberNames)
        }
      }
    }
  }
}
