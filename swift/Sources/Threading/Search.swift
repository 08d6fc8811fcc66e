// Searches in text, byte by byte: the standard library's own bring its parser of regular expressions into every
// program.

extension StringProtocol {
  /// Where the first or the last of them begins and ends.
  @inlinable public func find(_ text: String, last: Bool = false) -> Range<Index>? {
    let (all, wanted) = (utf8, text.utf8)
    guard let first = wanted.first else { return nil }
    var found: Range<Index>?
    var at = all.startIndex
    while let start = all[at...].firstIndex(of: first) {
      let rest = all[start...]
      if rest.starts(with: wanted) {
        found = start..<rest.index(start, offsetBy: wanted.count)
        if !last { return found }
      }
      at = all.index(after: start)
    }
    return found
  }

  @inlinable public func has(_ text: String) -> Bool { find(text) != nil }

  @inlinable public func replacing(every text: String, by other: String) -> String {
    var out = ""
    var rest = self[...]
    while let range = rest.find(text) {
      out += rest[..<range.lowerBound] + other
      rest = rest[range.upperBound...]
    }
    return out + rest
  }
}
