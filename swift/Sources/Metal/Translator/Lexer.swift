/// Cuts a text into tokens: comments are spaces, and a backslash at a line's end joins lines, even within a token.
struct Lexer {
  private let bytes: [UInt8]
  /// Where in `bytes` lines were joined.
  private let joints: [Int]
  private var nextJoint = 0
  private var at = 0
  private var line: Int32 = 1
  private var column: Int32 = 1
  private let file: Int32

  init(_ text: String, file: Int32) {
    let source = Array(text.utf8)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(source.count)
    var joints: [Int] = []
    var i = 0
    while i < source.count {
      if source[i] == UInt8(ascii: "\\") {
        var end = i + 1
        if end < source.count, source[end] == 13 { end += 1 }
        if end < source.count, source[end] == 10 {
          joints.append(bytes.count)
          i = end + 1
          continue
        }
      }
      bytes.append(source[i])
      i += 1
    }
    self.bytes = bytes
    self.joints = joints
    self.file = file
    crossJoints()
  }

  private var place: Place { Place(file: file, line: line, column: column) }
  private func peek(_ ahead: Int = 0) -> UInt8 { at + ahead < bytes.count ? bytes[at + ahead] : 0 }

  private mutating func crossJoints() {
    while nextJoint < joints.count, joints[nextJoint] == at {
      nextJoint += 1
      line += 1
      column = 1
    }
  }

  private mutating func advance(_ count: Int = 1) {
    for _ in 0..<count {
      if bytes[at] == 10 {
        line += 1
        column = 1
      } else {
        column += 1
      }
      at += 1
      if nextJoint < joints.count { crossJoints() }
    }
  }

  mutating func tokens() throws -> [Token] {
    var all: [Token] = []
    var space = false
    var lineStart = true
    while at < bytes.count {
      let c = bytes[at]
      switch c {
      case 10:
        lineStart = true
        space = false
        advance()
      case 32, 9, 11, 12, 13:
        space = true
        advance()
      case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "/"):
        while at < bytes.count, bytes[at] != 10 { advance() }
      case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "*"):
        try skipComment()
        space = true
      case 0:
        throw Fault(place, "the source has a NUL byte")
      default:
        let start = at
        var token = Token(kind: .punctuator, text: "", place: place, spaceBefore: space, startsLine: lineStart)
        token.kind = scan()
        token.text = token.kind == .invalid ? invalid : String(decoding: bytes[start..<at], as: UTF8.self)
        all.append(token)
        space = false
        lineStart = false
      }
    }
    return all
  }

  private var invalid = ""

  private mutating func skipComment() throws {
    let start = place
    advance(2)
    while at < bytes.count {
      if bytes[at] == UInt8(ascii: "*"), peek(1) == UInt8(ascii: "/") {
        advance(2)
        return
      }
      advance()
    }
    throw Fault(start, "unterminated /* comment")
  }

  private static func isLetter(_ c: UInt8) -> Bool {
    (c | 32 >= 97 && c | 32 <= 122) || c == UInt8(ascii: "_") || c >= 0x80
  }
  private static func isDigit(_ c: UInt8) -> Bool { c >= 48 && c <= 57 }

  private mutating func scan() -> Token.Kind {
    let c = bytes[at]
    if Lexer.isLetter(c) {
      while Lexer.isLetter(peek()) || Lexer.isDigit(peek()) { advance() }
      if peek() == UInt8(ascii: "\"") || peek() == UInt8(ascii: "'") {
        let prefix = String(decoding: bytes[(at - min(3, at))..<at], as: UTF8.self)
        if prefix.hasSuffix("R") || prefix.hasSuffix("u8") || prefix.hasSuffix("L") {
          invalid = "raw, wide and Unicode literals are not supported"
          skipLiteral()
          return .invalid
        }
      }
      return .identifier
    }
    if Lexer.isDigit(c) || (c == UInt8(ascii: ".") && Lexer.isDigit(peek(1))) {
      number()
      return .number
    }
    if c == UInt8(ascii: "\"") { return literal(.string, "unterminated string") }
    if c == UInt8(ascii: "'") { return literal(.character, "unterminated character literal") }
    return punctuator()
  }

  private mutating func number() {
    while true {
      let c = peek()
      let lower = c | 32
      let sign = peek(1) == UInt8(ascii: "+") || peek(1) == UInt8(ascii: "-")
      if sign, lower == UInt8(ascii: "e") || lower == UInt8(ascii: "p"), !(isHex && lower == UInt8(ascii: "e")) {
        advance(2)
      } else if Lexer.isLetter(c) || Lexer.isDigit(c) || c == UInt8(ascii: ".")
        || (c == UInt8(ascii: "'") && (Lexer.isLetter(peek(1)) || Lexer.isDigit(peek(1))))
      {
        if lower == UInt8(ascii: "x") { isHex = true }
        advance()
      } else {
        isHex = false
        return
      }
    }
  }
  private var isHex = false

  private mutating func literal(_ kind: Token.Kind, _ complaint: String) -> Token.Kind {
    if skipLiteral() { return kind }
    invalid = complaint
    return .invalid
  }

  @discardableResult
  private mutating func skipLiteral() -> Bool {
    let quote = bytes[at]
    advance()
    while at < bytes.count, bytes[at] != 10, bytes[at] != 0 {
      let c = bytes[at]
      advance()
      if c == quote { return true }
      if c == UInt8(ascii: "\\"), at < bytes.count, bytes[at] != 10 { advance() }
    }
    return false
  }

  private static let long: [[UInt8]] = [
    "<<=", ">>=", "...", "->*", "::", "->", "++", "--", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||",
    "+=", "-=", "*=", "/=", "%=", "&=", "|=", "^=", "##", ".*",
  ].map { Array($0.utf8) }
  private static let single = Set("{}[]()<>;:?.,+-*/%^&|~!=#".utf8)

  private mutating func punctuator() -> Token.Kind {
    for candidate in Lexer.long where bytes[at] == candidate[0] && peek(1) == candidate[1] {
      if candidate.count == 3, peek(2) != candidate[2] { continue }
      advance(candidate.count)
      return .punctuator
    }
    if Lexer.single.contains(bytes[at]) {
      advance()
      return .punctuator
    }
    invalid = "unexpected character '\(String(decoding: [bytes[at]], as: UTF8.self))'"
    advance()
    return .invalid
  }
}
