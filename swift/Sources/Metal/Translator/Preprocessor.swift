/// Runs directives and expands macros: MSL text in, the tokens that a compiler would parse out.
struct Preprocessor {
  struct Condition {
    let place: Place
    /// Whether what surrounds it is compiled.
    let enclosing: Bool
    var active: Bool
    var taken: Bool
    var sawElse = false
  }

  struct Frame {
    let file: Int32
    let name: String
    let tokens: [Token]
    var position = 0
    var conditions: [Condition] = []
  }

  var files = SourceFiles()
  var macros: [String: Macro] = Macro.predefined
  var output: [Token] = []
  var frames: [Frame] = []
  var once: Set<String> = []
  var hideSets = HideSets()
  /// Tokens made by macros so far: bounds what a hostile source can ask for.
  var work = 0
  var counter = 0
  let headers: [String: String]

  init(headers: [String: String], macros given: [String: String]) throws {
    self.headers = headers
    for (name, value) in given.sorted(by: { $0.key < $1.key }) {
      let file = files.add("macro \(name)", value)
      var body: [Token] = []
      do { body = try tokenize(value, file) } catch let fault as Fault { throw files.failure([fault]) }
      macros[name] = Macro(name: name, parameters: nil, isVariadic: false, body: body)
    }
  }

  mutating func run(_ source: String, name: String) throws {
    try enter(name, source)
    while !frames.isEmpty {
      let top = frames.count - 1
      guard frames[top].position < frames[top].tokens.count else {
        if let open = frames[top].conditions.last { throw Fault(open.place, "#if without #endif") }
        frames.removeLast()
        continue
      }
      let token = frames[top].tokens[frames[top].position]
      if token.startsLine, token.is("#") {
        try directive(token)
      } else if let condition = frames[top].conditions.last, !condition.active {
        _ = restOfLine()
      } else {
        frames[top].position += 1
        if token.isIdentifier {
          var expanded: [Token] = []
          try expand([token], fromFile: true, depth: 0, into: &expanded)
          output.append(contentsOf: expanded)
        } else {
          output.append(token)
        }
      }
    }
    if let bad = output.first(where: { $0.kind == .invalid }) { throw Fault(bad.place, bad.text) }
  }

  private func tokenize(_ text: String, _ file: Int32) throws -> [Token] {
    var lexer = Lexer(text, file: file)
    return try lexer.tokens()
  }

  private mutating func enter(_ name: String, _ text: String) throws {
    let file = files.add(name, text)
    frames.append(Frame(file: file, name: name, tokens: try tokenize(text, file)))
  }

  /// The tokens up to the next line's first.
  private mutating func restOfLine() -> [Token] {
    let top = frames.count - 1
    let start = frames[top].position
    var end = start + 1
    let tokens = frames[top].tokens
    while end < tokens.count, !tokens[end].startsLine { end += 1 }
    frames[top].position = end
    return Array(tokens[start..<end])
  }

  private mutating func directive(_ hash: Token) throws {
    let line = Array(restOfLine().dropFirst())
    let top = frames.count - 1
    let active = frames[top].conditions.last?.active ?? true
    guard let word = line.first else { return }
    let rest = Array(line.dropFirst())
    switch word.text {
    case "if", "ifdef", "ifndef":
      let holds = active ? try test(word, rest) : false
      frames[top].conditions.append(
        Condition(place: hash.place, enclosing: active, active: active && holds, taken: holds))
    case "elif", "elifdef", "elifndef", "else", "endif":
      guard var condition = frames[top].conditions.popLast() else {
        throw Fault(hash.place, "#\(word.text) without #if")
      }
      if word.text == "endif" { return }
      if condition.sawElse { throw Fault(hash.place, "#\(word.text) after #else") }
      condition.sawElse = word.text == "else"
      let open = condition.enclosing && !condition.taken
      condition.active = open ? try condition.sawElse || test(word, rest) : false
      condition.taken = condition.taken || condition.active
      frames[top].conditions.append(condition)
    case _ where !active: return
    case "define": try define(word, rest)
    case "undef":
      guard let name = rest.first, name.isIdentifier else { throw Fault(word.place, "#undef needs a macro's name") }
      macros[name.text] = nil
    case "include", "import": try include(word, rest)
    case "pragma":
      if let token = try pragma(rest, at: hash) { output.append(token) }
    case "error": throw Fault(word.place, "#error \(rest.spelled)")
    case "line":
      guard let number = rest.first.flatMap({ Int($0.text) }), number < Int(Int32.max) else {
        throw Fault(word.place, "#line needs a number")
      }
      let name = rest.count > 1 && rest[1].text.hasPrefix("\"") ? String(rest[1].text.dropFirst().dropLast()) : nil
      files.mark(word.place, line: number, name: name)
    case "warning", "ident": return
    default: throw Fault(word.place, "unknown directive #\(word.text)")
    }
  }

  private mutating func test(_ word: Token, _ rest: [Token]) throws -> Bool {
    switch word.text {
    case "if", "elif":
      guard !rest.isEmpty else { throw Fault(word.place, "#\(word.text) needs an expression") }
      var expanded: [Token] = []
      try expand(resolvingQueries(rest), fromFile: false, depth: 0, into: &expanded)
      return try Expression.evaluate(expanded, at: word.place) { name in
        name == "true" ? 1 : 0
      } != 0
    default:
      guard let name = rest.first, name.isIdentifier else {
        throw Fault(word.place, "#\(word.text) needs a macro's name")
      }
      return isDefined(name.text) != word.text.hasSuffix("ndef")
    }
  }

  private func isDefined(_ name: String) -> Bool {
    macros[name] != nil || Vocabulary.libraryMacros.contains(name) || Macro.builtIn.contains(name)
  }

  /// `defined(x)` and its kin become 0 or 1 before macros are expanded.
  private func resolvingQueries(_ tokens: [Token]) throws -> [Token] {
    var out: [Token] = []
    var i = 0
    func put(_ value: Bool, _ like: Token) {
      out.append(Token(kind: .number, text: value ? "1" : "0", place: like.place, spaceBefore: true))
    }
    while i < tokens.count {
      let token = tokens[i]
      if token.is("defined") {
        let inParens = i + 1 < tokens.count && tokens[i + 1].is("(")
        let name = i + (inParens ? 2 : 1)
        guard name < tokens.count, tokens[name].isIdentifier,
          !inParens || (name + 1 < tokens.count && tokens[name + 1].is(")"))
        else { throw Fault(token.place, "'defined' needs a macro's name") }
        put(isDefined(tokens[name].text), token)
        i = name + (inParens ? 2 : 1)
      } else if token.text.hasPrefix("__has_"), token.isIdentifier, i + 1 < tokens.count, tokens[i + 1].is("(") {
        var end = i + 2
        var depth = 1
        while end < tokens.count, depth > 0 {
          depth += tokens[end].is("(") ? 1 : tokens[end].is(")") ? -1 : 0
          end += 1
        }
        let inside = Array(tokens[(i + 2)..<max(i + 2, end - 1)])
        put(token.is("__has_include") && header(inside) != nil, token)
        i = end
      } else {
        out.append(token)
        i += 1
      }
    }
    return out
  }

  private mutating func define(_ word: Token, _ rest: [Token]) throws {
    guard let name = rest.first, name.isIdentifier else { throw Fault(word.place, "#define needs a macro's name") }
    guard !name.is("defined"), !Macro.builtIn.contains(name.text) else {
      throw Fault(name.place, "'\(name.text)' cannot be redefined")
    }
    var at = 1
    var parameters: [String]?
    var variadic = false
    if at < rest.count, rest[at].is("("), !rest[at].spaceBefore {
      var names: [String] = []
      at += 1
      while true {
        guard at < rest.count else { throw Fault(name.place, "the macro's parameters have no ')'") }
        let token = rest[at]
        at += 1
        if token.is(")") { break }
        if token.is(",") || token.is("...") && variadic { continue }
        if token.is("...") {
          variadic = true
          names.append("__VA_ARGS__")
        } else if token.isIdentifier, !variadic {
          names.append(token.text)
          if at < rest.count, rest[at].is("...") {
            variadic = true
          }
        } else {
          throw Fault(token.place, "'\(token.text)' is no macro parameter")
        }
      }
      parameters = names
    }
    let body = Array(rest[at...])
    if let edge = body.first(where: { $0.is("##") }), body.first!.is("##") || body.last!.is("##") {
      throw Fault(edge.place, "'##' at an end of the macro's text")
    }
    macros[name.text] = Macro(name: name.text, parameters: parameters, isVariadic: variadic, body: body)
  }

  private mutating func include(_ word: Token, _ rest: [Token]) throws {
    var tokens = rest
    if let first = rest.first, first.isIdentifier {
      tokens = []
      try expand(rest, fromFile: false, depth: 0, into: &tokens)
    }
    guard let found = header(tokens) else { throw Fault(word.place, Includes.refusal(tokens, headers)) }
    guard let text = found.text else { return }
    if once.contains(found.name) { return }
    guard frames.count < 200 else { throw Fault(word.place, "#include nested more than 200 deep") }
    guard files.names.count < 20_000 else { throw Fault(word.place, "more than 20,000 #includes") }
    try enter(found.name, text)
  }

  /// The header that an #include names; one of Metal's own has no text.
  private func header(_ tokens: [Token]) -> (name: String, text: String?)? {
    guard let (name, isSystem) = Includes.name(tokens) else { return nil }
    let directory = frames.last.map { Includes.directory($0.name) } ?? ""
    for candidate in [Includes.normal(directory + name), name, Includes.normal(name)] {
      if let text = headers[candidate] { return (candidate, text) }
    }
    return (isSystem || name.hasPrefix("metal_")) && Includes.known.contains(name) ? (name, nil) : nil
  }
}
