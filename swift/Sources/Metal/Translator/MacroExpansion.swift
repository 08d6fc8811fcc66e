import Threading

extension Preprocessor {
  private static let workLimit = 1_000_000
  private static let textLimit = 1 << 16

  /// Expands `input` onto `out`. With `fromFile` a macro's arguments may go on in the file's next tokens.
  mutating func expand(_ input: [Token], fromFile: Bool, depth: Int, into out: inout [Token]) throws {
    guard depth < 128 else { throw Fault(input.first?.place ?? .start, "macro calls nested more than 128 deep") }
    // Last first, so that taking and putting back are cheap.
    var pending = Array(input.reversed())
    while let token = pending.popLast() {
      guard token.isIdentifier, !hideSets.contains(token.hidden, token.text) else {
        out.append(token)
        continue
      }
      if Macro.builtIn.contains(token.text) {
        try expandBuiltIn(token, &pending, fromFile, into: &out)
        continue
      }
      guard let macro = macros[token.text] else {
        out.append(token)
        continue
      }
      var replacement: [Token]
      if let parameters = macro.parameters {
        guard nextIsParenthesis(pending, fromFile) else {
          out.append(token)
          continue
        }
        let (arguments, close) = try arguments(of: token, parameters.count, macro, &pending, fromFile)
        let hidden = hideSets.adding(macro.name, to: hideSets.intersection(token.hidden, close.hidden))
        var call = Call(macro: macro, token: token, raw: arguments, depth: depth)
        replacement = try substitute(macro.body[...], &call)
        for i in replacement.indices { replacement[i].hidden = hideSets.union(replacement[i].hidden, hidden) }
      } else {
        let hidden = hideSets.adding(macro.name, to: token.hidden)
        var call = Call(macro: macro, token: token, raw: [], depth: depth)
        replacement = try substitute(macro.body[...], &call)
        for i in replacement.indices { replacement[i].hidden = hideSets.union(replacement[i].hidden, hidden) }
      }
      if !replacement.isEmpty {
        replacement[0].spaceBefore = token.spaceBefore
        replacement[0].startsLine = token.startsLine
      }
      try spend(replacement.count + 1, token)
      pending.append(contentsOf: replacement.reversed())
    }
  }

  private mutating func spend(_ amount: Int, _ token: Token) throws {
    work += amount
    if work > Preprocessor.workLimit { throw Fault(token.place, "macros expand to more than 1,000,000 tokens") }
  }

  private func nextIsParenthesis(_ pending: [Token], _ fromFile: Bool) -> Bool {
    if let next = pending.last { return next.is("(") }
    guard fromFile, let frame = frames.last, frame.position < frame.tokens.count else { return false }
    return frame.tokens[frame.position].is("(")
  }

  private mutating func take(_ pending: inout [Token], _ fromFile: Bool, _ macro: Token) throws -> Token {
    if let next = pending.popLast() { return next }
    let top = frames.count - 1
    guard fromFile, top >= 0, frames[top].position < frames[top].tokens.count else {
      throw Fault(macro.place, "the call of macro '\(macro.text)' has no ')'")
    }
    let token = frames[top].tokens[frames[top].position]
    if token.startsLine, token.is("#") {
      throw Fault(token.place, "a directive inside the arguments of macro '\(macro.text)'")
    }
    frames[top].position += 1
    return token
  }

  private mutating func arguments(
    of name: Token, _ wanted: Int, _ macro: Macro, _ pending: inout [Token], _ fromFile: Bool
  ) throws -> ([[Token]], Token) {
    _ = try take(&pending, fromFile, name)
    var all: [[Token]] = [[]]
    var depth = 0
    while true {
      var token = try take(&pending, fromFile, name)
      if depth == 0, token.is(")") {
        if wanted == 0, all.count == 1, all[0].isEmpty { all = [] }
        if macro.isVariadic, all.count == wanted - 1 { all.append([]) }
        guard all.count == wanted else {
          throw Fault(name.place, "macro '\(name.text)' takes \(wanted) arguments, not \(all.count)")
        }
        return (all, token)
      }
      if token.is("(") { depth += 1 }
      if depth > 256 { throw Fault(token.place, "brackets nested more than 256 deep") }
      if token.is(")") { depth -= 1 }
      if depth == 0, token.is(","), !(macro.isVariadic && all.count == wanted) {
        all.append([])
      } else {
        // Lines inside a call do not matter to what comes out.
        if token.startsLine {
          token.startsLine = false
          token.spaceBefore = true
        }
        all[all.count - 1].append(token)
      }
    }
  }

  struct Call {
    let macro: Macro
    let token: Token
    let raw: [[Token]]
    let depth: Int
    var expanded: [Int: [Token]] = [:]
  }

  private mutating func expandedArgument(_ index: Int, _ call: inout Call) throws -> [Token] {
    if let known = call.expanded[index] { return known }
    var out: [Token] = []
    try expand(call.raw[index], fromFile: false, depth: call.depth + 1, into: &out)
    call.expanded[index] = out
    return out
  }

  private mutating func substitute(_ body: ArraySlice<Token>, _ call: inout Call) throws -> [Token] {
    var out: [Token] = []
    // Whether what was put out last was an empty argument, to which ## may join.
    var lastIsEmpty = false
    var i = body.startIndex
    func parameter(_ at: Int) -> Int? {
      guard at < body.endIndex, body[at].isIdentifier else { return nil }
      return call.macro.parameters?.firstIndex(of: body[at].text)
    }
    func place(_ token: Token) -> Token {
      var token = token
      token.place = call.token.place
      token.startsLine = false
      token.fromMacro = true
      return token
    }
    while i < body.endIndex {
      let token = body[i]
      try spend(1, call.token)
      if token.is("#"), call.macro.parameters != nil {
        guard let index = parameter(i + 1) else { throw Fault(call.token.place, "'#' needs a macro parameter") }
        out.append(place(try stringified(call.raw[index], token, call.token)))
        lastIsEmpty = false
        i += 2
      } else if token.is("##"), i > body.startIndex, i + 1 < body.endIndex {
        i += 1
        var right: [Token]
        if let index = parameter(i) {
          right = call.raw[index]
          // GNU: a comma before absent variable arguments goes.
          if call.macro.isVariadic, index == call.raw.count - 1, let comma = out.last, comma.is(",") {
            if right.isEmpty { out.removeLast() }
            out.append(contentsOf: try expandedArgument(index, &call))
            lastIsEmpty = false
            i += 1
            continue
          }
          i += 1
        } else {
          right = [place(body[i])]
          i += 1
        }
        if right.isEmpty { continue }
        if !lastIsEmpty, let left = out.popLast() { right[0] = try pasted(left, right[0], call.token) }
        out.append(contentsOf: right)
        lastIsEmpty = false
      } else if token.is("__VA_OPT__"), call.macro.isVariadic, i + 1 < body.endIndex, body[i + 1].is("(") {
        var end = i + 2
        var depth = 1
        while end < body.endIndex, depth > 0 {
          depth += body[end].is("(") ? 1 : body[end].is(")") ? -1 : 0
          end += 1
        }
        guard depth == 0 else { throw Fault(call.token.place, "__VA_OPT__ has no ')'") }
        if try !expandedArgument(call.raw.count - 1, &call).isEmpty {
          out.append(contentsOf: try substitute(body[(i + 2)..<(end - 1)], &call))
        }
        i = end
      } else if let index = parameter(i) {
        let joins = i + 1 < body.endIndex && body[i + 1].is("##")
        var argument = joins ? call.raw[index] : try expandedArgument(index, &call)
        lastIsEmpty = argument.isEmpty
        if !argument.isEmpty { argument[0].spaceBefore = token.spaceBefore }
        for j in argument.indices { argument[j].fromMacro = true }
        out.append(contentsOf: argument)
        i += 1
      } else {
        out.append(place(token))
        lastIsEmpty = false
        i += 1
      }
      try spend(0, call.token)
    }
    return out
  }

  private func stringified(_ tokens: [Token], _ hash: Token, _ call: Token) throws -> Token {
    var text = "\""
    for (i, token) in tokens.enumerated() {
      if i > 0, token.spaceBefore { text += " " }
      if token.kind == .string || token.kind == .character {
        for c in token.text.unicodeScalars {
          if c == "\"" || c == "\\" { text += "\\" }
          text.unicodeScalars.append(c)
        }
      } else {
        text += token.text
      }
    }
    guard text.utf8.count < Preprocessor.textLimit else { throw Fault(call.place, "a macro makes a string too long") }
    return Token(kind: .string, text: text + "\"", place: hash.place, spaceBefore: hash.spaceBefore)
  }

  private func pasted(_ left: Token, _ right: Token, _ call: Token) throws -> Token {
    let text = left.text + right.text
    guard text.utf8.count < Preprocessor.textLimit else { throw Fault(call.place, "a macro makes a token too long") }
    var lexer = Lexer(text, file: call.place.file)
    let tokens = (try? lexer.tokens()) ?? []
    guard tokens.count == 1, tokens[0].kind != .invalid else {
      throw Fault(call.place, "'##' makes '\(text)', which is no token")
    }
    var token = left
    token.kind = tokens[0].kind
    token.text = text
    token.fromMacro = true
    return token
  }

  private mutating func expandBuiltIn(
    _ token: Token, _ pending: inout [Token], _ fromFile: Bool, into out: inout [Token]
  ) throws {
    var result = token
    switch token.text {
    case "__LINE__":
      result.kind = .number
      result.text = String(token.place.line)
    case "__COUNTER__":
      result.kind = .number
      result.text = String(counter)
      counter += 1
    case "__FILE__":
      result.kind = .string
      result.text = "\"" + files.names[Int(token.place.file)].filter { $0 != "\"" && $0 != "\\" } + "\""
    default:
      guard nextIsParenthesis(pending, fromFile) else { throw Fault(token.place, "_Pragma needs (\"text\")") }
      _ = try take(&pending, fromFile, token)
      let text = try take(&pending, fromFile, token)
      let close = try take(&pending, fromFile, token)
      guard text.kind == .string, close.is(")") else { throw Fault(token.place, "_Pragma needs (\"text\")") }
      let plain = text.text.dropFirst().dropLast().replacing(every: "\\\"", by: "\"").replacing(every: "\\\\", by: "\\")
      var lexer = Lexer(String(plain), file: token.place.file)
      var words = try lexer.tokens()
      for i in words.indices {
        words[i].place = token.place
        words[i].startsLine = false
      }
      guard let pragma = try pragma(words, at: token) else { return }
      result = pragma
    }
    out.append(result)
  }

  /// The token of a pragma that matters, nil for the others.
  mutating func pragma(_ words: [Token], at place: Token) throws -> Token? {
    func token(_ text: String) -> Token {
      Token(kind: .pragma, text: text, place: place.place, spaceBefore: true, startsLine: true)
    }
    func count(_ tokens: ArraySlice<Token>) throws -> String {
      var inside = tokens
      if inside.first?.is("(") == true, inside.last?.is(")") == true { inside = inside.dropFirst().dropLast() }
      var out: [Token] = []
      try expand(Array(inside), fromFile: false, depth: 0, into: &out)
      return out.isEmpty ? "unroll" : "unroll(\(out.spelled))"
    }
    guard let first = words.first?.text else { return nil }
    let second = words.count > 1 ? words[1].text : ""
    switch (first, second) {
    case ("once", _):
      if let frame = frames.last { once.insert(frame.name) }
    case ("unroll", _): return token(try count(words[1...]))
    case ("nounroll", _): return token("nounroll")
    case ("clang", "loop"):
      guard words.count > 3 else { return nil }
      let value = words[3...].prefix { !$0.is(")") }.map(\.text).filter { $0 != "(" }.joined()
      if words[2].is("unroll_count") { return token(try count(words[3...])) }
      if words[2].is("unroll") { return token(value == "disable" ? "nounroll" : "unroll") }
    case ("METAL", "fp"), ("clang", "fp"), ("STDC", "FP_CONTRACT"):
      let text = words.map(\.text).joined()
      if text.hasSuffix("contract(off)") || text.hasSuffix("CONTRACTOFF") { return token("contract(off)") }
    default: break
    }
    return nil
  }
}
