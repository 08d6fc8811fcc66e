/// Finds declarations. It knows just enough of C++ to tell functions, variables and structs apart.
struct StructureParser {
  var program: Program

  private var tokens: [Token] { program.tokens }
  private func at(_ i: Int, _ text: String) -> Bool { program.is(i, text) }

  mutating func scope(_ range: Range<Int>, path: [String], parent: Int?) throws {
    var i = range.lowerBound
    while i < range.upperBound {
      let token = tokens[i]
      if token.kind == .pragma || token.is(";") {
        i += 1
      } else if parent != nil, ["public", "private", "protected"].contains(token.text), at(i + 1, ":") {
        i += 2
      } else if token.is("namespace") || (token.is("inline") && at(i + 1, "namespace")) {
        i = try namespace(i, range, path)
      } else {
        i = try item(i, range, path, parent)
      }
    }
  }

  private mutating func namespace(_ start: Int, _ range: Range<Int>, _ path: [String]) throws -> Int {
    var i = start
    var names: [String] = []
    while i < range.upperBound, !at(i, "{"), !at(i, ";") {
      if tokens[i].isIdentifier, !at(i, "namespace"), !at(i, "inline") { names.append(tokens[i].text) }
      i += 1
    }
    guard i < range.upperBound else { throw Fault(tokens[start].place, "expected '{' behind namespace") }
    if at(i, ";") { return i + 1 }
    let end = program.match[i]
    if path.isEmpty, names == ["metal"] {
      program.reopened.append((start, end))
      try scope((i + 1)..<end, path: names, parent: nil)
    } else {
      try scope((i + 1)..<end, path: path + names, parent: nil)
    }
    return end + 1
  }

  private mutating func item(_ start: Int, _ range: Range<Int>, _ path: [String], _ parent: Int?) throws -> Int {
    var found = Declaration(
      kind: .other, range: start..<start, head: start, path: path, isMember: parent != nil, parent: parent)
    var i = start
    if at(i, "template"), !at(i + 1, "<") {
      let end = try statementEnd(i, range)
      found.kind = .instantiation
      return add(found, end)
    }
    while at(i, "template"), at(i + 1, "<") {
      guard let end = program.closingAngle(i + 1) else { throw Fault(tokens[i].place, "'template <' has no '>'") }
      found.template = (i + 2)..<end
      i = end + 1
    }
    found.head = i
    guard i < range.upperBound else { throw Fault(tokens[start].place, "expected a declaration") }
    switch tokens[i].text {
    case "using":
      let end = try statementEnd(i, range)
      found.kind = at(i + 1, "namespace") ? .usingNamespace : .alias
      if at(i + 1, "namespace") {
        if at(i + 2, "metal"), at(i + 3, ";"), path.isEmpty { program.usesNamespaceMetal = true }
      } else if tokens[i + 1].isIdentifier, at(i + 2, "=") {
        found.names = [tokens[i + 1].text]
      }
      return add(found, end)
    case "static_assert", "_Static_assert", "friend":
      return add(found, try statementEnd(i, range))
    case "asm", "__asm__", "concept", "requires", "export", "module", "import":
      throw Fault(tokens[i].place, "'\(tokens[i].text)' is not part of the Metal language")
    default: break
    }
    return try declaration(found, i, range)
  }

  private mutating func add(_ declaration: Declaration, _ end: Int) -> Int {
    var declaration = declaration
    declaration.range = declaration.range.lowerBound..<end
    if declaration.isMember, declaration.kind == .variable || declaration.kind == .function {
      program.memberNames.formUnion(declaration.names)
    }
    program.declarations.append(declaration)
    return end
  }

  /// Behind the `;` that ends what starts at `start`.
  private func statementEnd(_ start: Int, _ range: Range<Int>) throws -> Int {
    var i = start
    while i < range.upperBound {
      if at(i, ";") { return i + 1 }
      if program.match[i] > i { i = program.match[i] }
      i += 1
    }
    throw Fault(tokens[start].place, "the declaration has no ';'")
  }

  private mutating func declaration(_ given: Declaration, _ start: Int, _ range: Range<Int>) throws -> Int {
    var found = given
    var i = start
    var sawPointer = false
    var sawConstant = false
    let isAlias = at(start, "typedef")
    while i < range.upperBound {
      let token = tokens[i]
      if let end = program.attributeEnd(i) {
        i = end + 1
        continue
      }
      switch token.text {
      case "struct", "class", "union", "enum":
        if let brace = recordBrace(i, range) {
          let end = program.match[brace]
          let keyword = token.text
          var record = found
          record.kind = .record
          record.body = brace..<(end + 1)
          var nameAt = at(i + 1, "class") || at(i + 1, "struct") ? i + 2 : i + 1
          while let end = program.attributeEnd(nameAt) { nameAt = end + 1 }
          if at(nameAt, "alignas") || at(nameAt, "__attribute__") { nameAt = program.match[nameAt + 1] + 1 }
          if tokens[nameAt].isIdentifier { record.names = [tokens[nameAt].text] }
          let number = program.declarations.count
          _ = add(record, end + 1)
          if keyword != "enum" {
            try scope((brace + 1)..<end, path: found.path + record.names, parent: number)
          }
          let whole = try statementEnd(end, range)
          program.declarations[number].range = found.range.lowerBound..<whole
          program.declarations[number].names += declarators((end + 1)..<(whole - 1))
          if found.isMember { program.memberNames.formUnion(declarators((end + 1)..<(whole - 1))) }
          if !isAlias, whole - end > 2 {
            // Variables of the struct just defined.
            found.kind = .variable
            found.names = declarators((end + 1)..<(whole - 1))
            return add(found, whole)
          }
          return whole
        }
        if i == found.head, let end = forwardDeclaration(i, range) { return add(found, end) }
        i += 1
      case "alignas", "decltype", "__attribute__", "noexcept", "typeof", "__typeof__":
        i += 1
        if at(i, "(") { i = program.match[i] + 1 }
      case "operator":
        found.nameAt = i
        i += 1
        if at(i, "("), at(i + 1, ")") { i += 2 }
        while i < range.upperBound, !at(i, "(") { i += 1 }
        guard i < range.upperBound else { throw Fault(token.place, "expected '(' behind operator") }
        found.names = ["operator " + tokens[(found.nameAt + 1)..<i].spelled]
        return try function(found, i, range)
      case "(":
        if at(i + 1, "*") || at(i + 1, "&") || isAlias {
          i = program.match[i] + 1
          continue
        }
        guard let name = functionName(before: i) else {
          throw Fault(token.place, "unexpected '(' in a declaration")
        }
        found.nameAt = name
        found.names = [(at(name - 1, "~") ? "~" : "") + tokens[name].text]
        if sawConstant, !sawPointer, program.match[i] + 1 < range.upperBound, at(program.match[i] + 1, ";") {
          found.kind = .variable
          return add(found, program.match[i] + 2)
        }
        return try function(found, i, range)
      case "=", ";", "{", "[", ":", ",":
        let end = try statementEnd(i, range)
        found.kind = isAlias ? .alias : .variable
        found.names = declarators(found.head..<(end - 1))
        return add(found, end)
      case "<":
        guard let end = program.closingAngle(i) else { throw Fault(token.place, "'<' has no '>'") }
        i = end + 1
      default:
        if token.is("*") || token.is("&") { sawPointer = true }
        if token.is("constant") { sawConstant = true }
        if program.match[i] >= 0 { throw Fault(token.place, "unexpected '\(token.text)' in a declaration") }
        i += 1
      }
    }
    throw Fault(tokens[start].place, "the declaration has no ';'")
  }

  /// Behind `struct name;`.
  private func forwardDeclaration(_ start: Int, _ range: Range<Int>) -> Int? {
    guard let end = (start..<range.upperBound).first(where: { !tokens[$0].isIdentifier && !at($0, ":") && !at($0, "::") }),
      at(end, ";")
    else { return nil }
    let names = (start + 1)..<end
    let isEnum = at(start, "enum") || names.count == 1
    return isEnum ? end + 1 : nil
  }

  /// The `{` of a struct's definition, nil where the keyword only names a type.
  private func recordBrace(_ start: Int, _ range: Range<Int>) -> Int? {
    var i = start + 1
    while i < range.upperBound {
      if at(i, "{") { return i }
      if at(i, ";") || at(i, "=") || at(i, ")") { return nil }
      if at(i, "("), !at(i - 1, "alignas"), !at(i - 1, "__attribute__"), !at(i - 1, "decltype") { return nil }
      if at(i, "<"), let end = program.closingAngle(i) { i = end }
      if program.match[i] > i { i = program.match[i] }
      i += 1
    }
    return nil
  }

  /// The name in `name(` or `name<…>(`.
  private func functionName(before paren: Int) -> Int? {
    var i = paren - 1
    if at(i, ">") || at(i, ">>") {
      var depth = 0
      while i >= 0 {
        if at(i, ">") { depth += 1 }
        if at(i, ">>") { depth += 2 }
        if at(i, "<") { depth -= 1 }
        if depth == 0 { break }
        i -= program.match[i] >= 0 && program.match[i] < i ? i - program.match[i] : 1
      }
      i -= 1
    }
    return i >= 0 && tokens[i].isIdentifier ? i : nil
  }

  private mutating func function(_ given: Declaration, _ open: Int, _ range: Range<Int>) throws -> Int {
    var found = given
    found.kind = .function
    let close = program.match[open]
    found.parameters = (open + 1)..<close
    var i = close + 1
    while i < range.upperBound {
      if let end = program.attributeEnd(i) {
        i = end + 1
        continue
      }
      switch tokens[i].text {
      case "{":
        found.body = i..<(program.match[i] + 1)
        return add(found, program.match[i] + 1)
      case ";": return add(found, i + 1)
      case "=": return add(found, try statementEnd(i, range))
      case ":":
        let start = i
        i += 1
        while i < range.upperBound {
          if at(i, "<"), let end = program.closingAngle(i) { i = end + 1 }
          if at(i, "(") || at(i, "{") {
            i = program.match[i] + 1
            if at(i, "...") { i += 1 }
            if at(i, ",") {
              i += 1
              continue
            }
            guard at(i, "{") else { break }
            found.body = start..<(program.match[i] + 1)
            return add(found, program.match[i] + 1)
          }
          i += 1
        }
        throw Fault(tokens[start].place, "expected a constructor's initializers and body")
      case "<": i = (program.closingAngle(i) ?? i) + 1
      case "(": i = program.match[i] + 1
      default:
        guard tokens[i].isIdentifier || ["->", "&", "&&", "*", "::", ">"].contains(tokens[i].text) else {
          throw Fault(tokens[i].place, "expected a function's body or ';', not '\(tokens[i].text)'")
        }
        i += 1
      }
    }
    throw Fault(tokens[close].place, "the function has no body and no ';'")
  }

  /// The names in `T a, *b[2] = x, c : 3`.
  private func declarators(_ range: Range<Int>) -> [String] {
    program.split(range).compactMap { part in
      var name: String?
      var i = part.lowerBound
      while i < part.upperBound {
        let token = tokens[i]
        if token.is("=") || token.is("{") || (token.is(":") && name != nil) { break }
        if let end = program.attributeEnd(i) {
          i = end + 1
          continue
        }
        if token.is("["), name != nil { break }
        if token.is("alignas") || token.is("__attribute__") || token.is("decltype") {
          i = (at(i + 1, "(") ? program.match[i + 1] : i) + 1
          continue
        }
        if token.is("<"), let end = program.closingAngle(i), end < part.upperBound { i = end }
        if token.isIdentifier { name = token.text }
        i += 1
      }
      return name
    }
  }
}
