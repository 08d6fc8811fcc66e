/// A preprocessing token. It keeps its raw text and where in the source it comes from: a token of a
/// macro's body is placed where the macro was used, as compilers report it.
struct Token: Sendable {
  enum Kind: UInt8, Sendable {
    case identifier, number, string, character, punctuator
    /// A pragma that matters, as text: "unroll", "unroll(n)", "nounroll", "contract(off)".
    case pragma
    /// What is no token; an error once it is used. The text says why.
    case invalid
  }

  var kind: Kind
  var text: String
  var place: Place
  var spaceBefore = false
  var startsLine = false
  var fromMacro = false
  /// The macros that may not expand it again, by number of set.
  var hidden: Int32 = 0

  func `is`(_ text: String) -> Bool { self.text == text && kind != .string && kind != .pragma }
  var isIdentifier: Bool { kind == .identifier }
}

extension Sequence<Token> {
  /// The text, with spaces where the source has any.
  var spelled: String {
    var out = ""
    for token in self {
      if !out.isEmpty, token.spaceBefore || token.startsLine { out += " " }
      out += token.text
    }
    return out
  }
}
