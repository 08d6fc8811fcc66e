import Threading

extension Emission {
  private struct Diagnostic {
    var place: Place?
    let severity: String
    let message: String
  }

  /// Maps a log of clang or NVRTC back to the source: errors with their notes; what the prelude alone is about goes.
  func translate(log: String) -> String {
    let found = diagnostics(log)
    var out = ""
    var placeless: String?
    var sawError = false
    var told: Set<String> = []
    var i = 0
    while i < found.count {
      var end = i + 1
      while end < found.count, found[end].severity == "note" { end += 1 }
      if found[i].severity == "error", !Emission.isAboutTemporaries(found[i].message) {
        let notes = found[(i + 1)..<end].filter { $0.place != nil }
        // An error inside the prelude is about the place that led there.
        if let place = found[i].place ?? notes.first?.place {
          let text = files.diagnostic(place, "error", found[i].message)
          // Each instance of a template tells it again.
          guard told.insert(text).inserted else {
            i = end
            continue
          }
          out += text
          for note in notes.prefix(6) where note.place != place && !note.message.hasPrefix("built-in operator") {
            out += files.diagnostic(note.place!, "note", note.message)
          }
        } else {
          placeless = placeless ?? files.diagnostic(fallback, "error", found[i].message)
        }
      }
      sawError = sawError || found[i].severity == "error"
      i = end
    }
    // Something went wrong that has no such form: better the whole log than none.
    return out.isEmpty ? placeless ?? (sawError ? "" : log) : out
  }

  /// In OpenCL's C++, which the lint goes through, temporaries have no address space and so neither members of thread
  /// objects nor a common type with a variable. Metal has no such rule.
  private static func isAboutTemporaries(_ message: String) -> Bool {
    let quoted = message.split(separator: "'", omittingEmptySubsequences: false).enumerated().filter { $0.offset % 2 == 1 }
      .map { String($0.element) }
    if message.hasPrefix("cannot initialize object parameter of type"), quoted.count >= 2 {
      return !["thread ", "device ", "constant ", "threadgroup ", "__generic "].contains { quoted[quoted.count - 1].has($0) }
    }
    guard message.hasPrefix("incompatible operand types ("), quoted.count == 2 else { return false }
    let plain = quoted.map { type in
      type.split(separator: " ").filter { !["const", "thread", "device", "constant", "threadgroup", "__generic", "__global"].contains($0) }
    }
    return plain[0] == plain[1]
  }

  private func diagnostics(_ log: String) -> [Diagnostic] {
    var found: [Diagnostic] = []
    var file: Substring = ""
    let lines = log.split(separator: "\n", omittingEmptySubsequences: false)
    for (i, line) in lines.enumerated() {
      if let head = Emission.head(line) {
        file = head.file
        let place =
          file == Emission.fileName
          ? self.place(line: head.line, column: head.column ?? caret(lines[(i + 1)...], line: head.line)) : nil
        found.append(Diagnostic(place: place, severity: head.severity, message: Emission.plain(head.message)))
      } else if let at = line.find(" at line ", last: true) {
        // NVRTC: `instantiation of "…" at line 8 of mtl_program`, without the file where it is the error's.
        let words = line[at.upperBound...].split(separator: " ")
        let named = words.count == 3 ? words[2] : file
        guard let number = words.first.flatMap({ Int($0) }), named == Emission.fileName else { continue }
        let message = Emission.plain("in " + line[..<at.lowerBound].drop { $0 == " " })
        found.append(Diagnostic(place: place(line: number, column: nil), severity: "note", message: message))
      }
    }
    return found
  }

  /// `file:line:column: error: message` or `file(line): error: message`.
  private static func head(_ line: Substring)
    -> (file: Substring, line: Int, column: Int?, severity: String, message: Substring)?
  {
    for word in ["fatal error", "catastrophic error", "error", "warning", "note", "remark"] {
      guard let range = line.find(": \(word)") else { continue }
      var front = line[..<range.lowerBound]
      var message = line[range.upperBound...]
      // NVRTC numbers some: "error #20: ", "warning #177-D: ".
      guard let colon = message.firstIndex(of: ":"), message[..<colon].allSatisfy({ !$0.isLowercase }) else { continue }
      message = message[message.index(after: colon)...].drop { $0 == " " }
      let severity = word.hasSuffix("error") ? "error" : word
      if front.hasSuffix(")"), let open = front.lastIndex(of: "("),
        let number = Int(front[front.index(after: open)...].dropLast())
      {
        return (front[..<open], number, nil, severity, message)
      }
      guard let second = front.lastIndex(of: ":"), let column = Int(front[front.index(after: second)...]) else { continue }
      front = front[..<second]
      guard let first = front.lastIndex(of: ":"), let number = Int(front[front.index(after: first)...]) else { continue }
      return (front[..<first], number, column, severity, message)
    }
    return nil
  }

  /// NVRTC prints the line and a mark under it instead of a column.
  private func caret(_ lines: ArraySlice<Substring>, line: Int) -> Int? {
    let near = lines.prefix(8).prefix { !$0.isEmpty && Emission.head($0) == nil }
    guard let at = near.firstIndex(where: { $0.has("^") && $0.allSatisfy { $0 == " " || $0 == "^" } }),
      at > near.startIndex, let mark = near[at].firstIndex(of: "^"), let start = indent(line)
    else { return nil }
    let offset = near[at].distance(from: near[at].startIndex, to: mark) - near[at - 1].prefix { $0 == " " }.count
    return offset >= 0 ? start + offset + 1 : nil
  }

  /// How far a line of the text is indented.
  private func indent(_ line: Int) -> Int? {
    var number = 0
    var indent = 0
    for byte in text.utf8 {
      if byte == 10 {
        number += 1
        indent = 0
      } else if number == line {
        if byte != 32 { return indent }
        indent += 1
      }
    }
    return nil
  }

  /// Messages in the source's own names.
  private static func plain(_ message: some StringProtocol) -> String {
    var text = String(message)
    for (ours, theirs) in [
      (Rewriter.kernelPrefix, ""), ("mtl_program::", ""), ("mtl_user::", ""), ("user_mtl_", "mtl_"), ("user_MTL_", "MTL_"),
      ("const __global_host", "constant"), ("__global_host", "constant"), ("__global_device", "device"), ("__local", "threadgroup"),
      ("*__private", "*"), ("&__private", "&"), ("__private", "thread"), ("mtl_half", "half"), ("mtl_constant_", ""),
      ("no member named 'mtl_get'", "no such swizzle"), ("no member named 'mtl_ref'", "no such swizzle"),
    ] { text = text.replacing(every: ours, by: theirs) }
    return text
  }
}
