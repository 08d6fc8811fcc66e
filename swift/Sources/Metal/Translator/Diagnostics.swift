/// A place in the MSL source or one of its headers; columns count bytes from 1.
struct SourceLocation: Hashable, Sendable {
  let file: String
  let line: Int
  let column: Int
}

/// Why a library could not be built: lines of the form `name:line:column: error: …`.
struct CompileFailure: Error, Sendable {
  let log: String
}

/// A place as tokens carry it: the file by number.
struct Place: Hashable, Sendable {
  var file: Int32
  var line: Int32
  var column: Int32
  static let start = Place(file: 0, line: 1, column: 1)
}

/// One thing wrong with the source.
struct Fault: Error {
  let place: Place
  let message: String
  init(_ place: Place, _ message: String) {
    self.place = place
    self.message = message
  }
}

/// Several at once, in the order of the source.
struct Faults: Error {
  let all: [Fault]
}

/// The texts that places point into.
struct SourceFiles: Sendable {
  private(set) var names: [String] = []
  private var texts: [String] = []
  /// What `#line` said: from a line of a file on, another number and perhaps another name.
  private var marks: [Mark] = []

  private struct Mark: Sendable {
    let from: Place
    let line: Int
    let name: String
  }

  mutating func add(_ name: String, _ text: String) -> Int32 {
    names.append(name)
    texts.append(text)
    return Int32(names.count - 1)
  }

  /// `#line number "name"`, at `place`; without a name that of the lines before stays.
  mutating func mark(_ place: Place, line: Int, name: String?) {
    var from = place
    from.line += 1
    marks.append(Mark(from: from, line: line, name: name ?? location(place).file))
  }

  func location(_ place: Place) -> SourceLocation {
    guard let mark = marks.last(where: { $0.from.file == place.file && $0.from.line <= place.line }) else {
      return SourceLocation(file: names[Int(place.file)], line: Int(place.line), column: Int(place.column))
    }
    return SourceLocation(
      file: mark.name, line: mark.line + Int(place.line - mark.from.line), column: Int(place.column))
  }

  /// The source line with a mark under the column, as compilers print it.
  func excerpt(_ place: Place) -> String {
    var line = 1
    var found: [UInt8] = []
    for byte in texts[Int(place.file)].utf8 {
      if byte == 10 {
        if line == place.line { break }
        line += 1
      } else if line == place.line, byte != 13, byte != 0 {
        found.append(byte)
      }
    }
    // A line of generated code can be of any length.
    guard !found.isEmpty, found.count <= 400 else { return "" }
    let text = String(decoding: found, as: UTF8.self)
    var mark = ""
    for byte in found.prefix(max(0, Int(place.column) - 1)) where byte & 0xC0 != 0x80 {
      mark += byte == 9 ? "\t" : " "
    }
    return "\(text)\n\(mark)^\n"
  }

  func diagnostic(_ place: Place, _ kind: String, _ message: String) -> String {
    let at = location(place)
    return "\(at.file):\(at.line):\(at.column): \(kind): \(message)\n\(excerpt(place))"
  }

  func failure(_ faults: [Fault]) -> CompileFailure {
    // More than a screenful helps nobody.
    CompileFailure(log: faults.prefix(20).map { diagnostic($0.place, "error", $0.message) }.joined())
  }
}
