/// What a library is translated for.
enum Target: Hashable, Sendable {
  case emulator(checks: Bool)
  case cuda
  /// For a syntax check with real address spaces.
  case lint
}

/// C++ for one target, to be put behind the target's prelude. Its first line is `#line 1 "mtl_program"`,
/// so that a compiler's log tells it from the prelude.
struct Emission: Sendable {
  static let fileName = "mtl_program"

  let text: String
  /// False where the source says `#pragma METAL fp contract(off)`: products and sums must not be fused.
  let allowsContraction: Bool
  fileprivate let entries: [Entry]
  /// Where each line's entries start; one more at the end.
  fileprivate let lineStarts: [Int32]
  let files: SourceFiles
  /// Where messages go that are about nothing in the source.
  let fallback: Place

  fileprivate struct Entry: Sendable {
    let column: Int32
    let place: Place
  }

  func place(line: Int, column: Int?) -> Place? {
    guard line >= 1, line < lineStarts.count else { return nil }
    let range = entries[Int(lineStarts[line - 1])..<Int(lineStarts[line])]
    guard let column else { return range.first?.place }
    return (range.last { $0.column <= column } ?? range.first)?.place
  }

  /// Where in the source a place of `text` comes from, nil for what the translator added.
  func locate(line: Int, column: Int?) -> SourceLocation? {
    place(line: line, column: column).map(files.location)
  }
}

/// Writes an emission, keeping the source's lines and indentation.
struct EmissionWriter {
  private var text = "#line 1 \"\(Emission.fileName)\"\n"
  private var entries: [Emission.Entry] = []
  private var lineStarts: [Int32] = [0]
  private var column: Int32 = 1
  private var last: Token?
  /// A token that starts a line and goes leaves the line to the next one.
  private var startsLine = false

  mutating func newline() {
    text += "\n"
    lineStarts.append(Int32(entries.count))
    column = 1
    last = nil
  }

  /// A line of the translator's own; messages about it go to `place`.
  mutating func line(_ content: String, at place: Place? = nil) {
    if column > 1 { newline() }
    if let place { entries.append(.init(column: 1, place: place)) }
    for (i, part) in content.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      if i > 0 {
        newline()
        if let place { entries.append(.init(column: 1, place: place)) }
      }
      text += part
    }
    newline()
  }

  mutating func put(_ token: Token, _ content: String) {
    let starts = token.startsLine || startsLine
    startsLine = content.isEmpty && starts
    if content.isEmpty { return }
    if column > 1, starts || column > 4000 { newline() }
    if column == 1 {
      // The same column where the source has it, for who reads the text.
      let indent = starts ? min(token.place.column, 120) - 1 : 0
      if indent > 0 {
        text += String(repeating: " ", count: Int(indent))
        column += indent
      }
    } else if !joins(token) {
      text += " "
      column += 1
    }
    entries.append(.init(column: column, place: token.place))
    text += content
    column += Int32(content.utf8.count)
    last = token
  }

  /// Whether the token follows the last one in the source without a space.
  private func joins(_ token: Token) -> Bool {
    guard let last, !last.fromMacro, !token.fromMacro, !token.spaceBefore else { return false }
    return last.place.file == token.place.file && last.place.line == token.place.line
      && last.place.column + Int32(last.text.utf8.count) == token.place.column
  }

  mutating func finish(_ files: SourceFiles, contracts: Bool, fallback: Place) -> Emission {
    if column > 1 { newline() }
    return Emission(
      text: text, allowsContraction: contracts, entries: entries, lineStarts: lineStarts, files: files, fallback: fallback)
  }
}
