import CMetalFaiss

/// MSL of a file, with what it includes from beside it put in its place: Metal finds no files
/// that a source text includes.
struct ShaderSource {
  private var once: Set<String> = []
  /// Files that are being read: a guarded one that includes itself again adds nothing.
  private var open: [String] = []

  /// Of the first path where there is a file.
  static func read(_ paths: [String]) throws -> String {
    var tried: [String] = []
    for path in paths {
      if let text = readFile(path) {
        var source = ShaderSource()
        return try source.inline(text, folder: folder(path), name: file(path), depth: 0)
      }
      tried.append("\(path): \(String(cString: strerror(errno)))")
    }
    throw Failure.value("the file cannot be read: \(tried.joined(separator: "; "))")
  }

  private mutating func inline(_ text: String, folder: String, name: String, depth: Int) throws -> String {
    guard depth < 32 else { throw Failure.value("\(name) is included more than 32 files deep") }
    var out = "#line 1 \"\(name)\"\n"
    var inComment = false
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
      let directive = inComment ? nil : Directive(line)
      Self.scan(line, &inComment)
      switch directive {
      case .include(let included):
        let path = folder + included
        if once.contains(path) {
          out += "\n"
        } else if let inner = readFile(path) {
          if open.contains(path), inner.has("#ifndef") {
            out += "\n"
            continue
          }
          let sub = included.lastIndex(of: "/").map { String(included[...$0]) } ?? ""
          if inner.has("#pragma once") { once.insert(path) }
          open.append(path)
          defer { open.removeLast() }
          out += try inline(inner, folder: folder + sub, name: included, depth: depth + 1)
          out += "\n#line \(index + 2) \"\(name)\"\n"
        } else {
          out += line + "\n"  // the compiler says that it is missing, and where
        }
      case .once: out += "\n"
      case nil: out += line + "\n"
      }
    }
    return out
  }

  private enum Directive {
    case include(String)
    case once

    init?(_ line: Substring) {
      var rest = line.drop { $0 == " " || $0 == "\t" }
      guard rest.first == "#" else { return nil }
      rest = rest.dropFirst().drop { $0 == " " || $0 == "\t" }
      if rest.hasPrefix("pragma once") {
        self = .once
      } else if rest.hasPrefix("include") {
        rest = rest.dropFirst(7).drop { $0 == " " || $0 == "\t" }
        guard rest.first == "\"", let end = rest.dropFirst().firstIndex(of: "\"") else { return nil }
        self = .include(String(rest[rest.index(after: rest.startIndex)..<end]))
      } else {
        return nil
      }
    }
  }

  /// Whether a block comment is open after the line.
  private static func scan(_ line: Substring, _ inComment: inout Bool) {
    var last: UInt8 = 0
    var inString = false
    for byte in line.utf8 {
      let pair = (last, byte)
      last = byte
      if inComment {
        if pair == (UInt8(ascii: "*"), UInt8(ascii: "/")) {
          inComment = false
          last = 0
        }
      } else if byte == UInt8(ascii: "\""), pair.0 != UInt8(ascii: "\\") {
        inString.toggle()
      } else if !inString, pair == (UInt8(ascii: "/"), UInt8(ascii: "/")) {
        return
      } else if !inString, pair == (UInt8(ascii: "/"), UInt8(ascii: "*")) {
        inComment = true
        last = 0
      }
    }
  }

  private static func folder(_ path: String) -> String { path.lastIndex(of: "/").map { String(path[...$0]) } ?? "" }
  private static func file(_ path: String) -> String {
    path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path
  }
}

/// A file as text, or nil with errno.
private func readFile(_ path: String) -> String? {
  guard let file = fopen(path, "rb") else { return nil }
  defer { fclose(file) }
  var bytes: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let got = fread(&chunk, 1, chunk.count, file)
    if got == 0 { break }
    bytes += chunk.prefix(got)
  }
  return ferror(file) == 0 ? String(decoding: bytes, as: UTF8.self) : nil
}
