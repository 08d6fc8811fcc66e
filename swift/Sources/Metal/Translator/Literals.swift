import Threading

enum Literals {
  /// Metal's floating literals are float, not double; `h` and `bf` make half and bfloat. nil where nothing changes.
  static func rewritten(_ token: Token) throws -> String? {
    let text = token.text.lowercased()
    let isHex = text.hasPrefix("0x")
    guard !isHex || text.has("p") else { return nil }
    if text.hasPrefix("0b") { return nil }
    let digits = token.text
    if text.hasSuffix("bf") { return "bfloat(\(floating(digits.dropLast(2))))" }
    if text.hasSuffix("h") { return "half(\(floating(digits.dropLast())))" }
    if text.hasSuffix("f") { return nil }
    guard text.has(".") || text.has("e") || text.has("p") else { return nil }
    if text.hasSuffix("l") { throw Fault(token.place, "Metal has no long double: write '\(digits.dropLast())f'") }
    return floating(digits[...])
  }

  private static func floating(_ digits: Substring) -> String {
    let isFloating = digits.contains { ".eEpP".contains($0) }
    return isFloating ? "\(digits)f" : "\(digits).0f"
  }
}
