struct Macro: Sendable {
  let name: String
  /// nil for a macro without parentheses. The variable arguments are the last one.
  let parameters: [String]?
  let isVariadic: Bool
  let body: [Token]

  /// Those whose value depends on where they stand.
  static let builtIn: Set<String> = ["__LINE__", "__FILE__", "__COUNTER__", "_Pragma"]

  static let predefined: [String: Macro] = {
    let values: [(String, Token.Kind, String)] = [
      ("__METAL__", .number, "1"), ("__METAL_VERSION__", .number, "310"), ("__METAL_MACOS__", .number, "1"),
      ("__HAVE_BFLOAT__", .number, "1"), ("__cplusplus", .number, "201703L"), ("METAL_FUNC", .identifier, "inline"),
    ]
    var all: [String: Macro] = [:]
    for (name, kind, text) in values {
      let token = Token(kind: kind, text: text, place: .start)
      all[name] = Macro(name: name, parameters: nil, isVariadic: false, body: [token])
    }
    return all
  }()
}

/// Sets of macro names, each kept once: what a token may not be expanded by.
struct HideSets {
  private var sets: [Set<String>] = [[]]
  private var numbers: [Set<String>: Int32] = [[]: 0]

  func contains(_ set: Int32, _ name: String) -> Bool { set != 0 && sets[Int(set)].contains(name) }

  private mutating func number(_ set: Set<String>) -> Int32 {
    if let known = numbers[set] { return known }
    let next = Int32(sets.count)
    sets.append(set)
    numbers[set] = next
    return next
  }

  mutating func adding(_ name: String, to set: Int32) -> Int32 {
    contains(set, name) ? set : number(sets[Int(set)].union([name]))
  }
  mutating func union(_ a: Int32, _ b: Int32) -> Int32 {
    if a == b || b == 0 { return a }
    if a == 0 { return b }
    return number(sets[Int(a)].union(sets[Int(b)]))
  }
  mutating func intersection(_ a: Int32, _ b: Int32) -> Int32 {
    if a == b { return a }
    if a == 0 || b == 0 { return 0 }
    return number(sets[Int(a)].intersection(sets[Int(b)]))
  }
}
