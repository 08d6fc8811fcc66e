import CMetalFaiss

/// UTF-8 of any length that waits to be fetched.
final class Text {
  let utf8: [UInt8]
  init(_ text: String) { utf8 = Array(text.utf8) }

  /// Leaves {handle, bytes} for the caller.
  static func give(_ text: String, _ out: UnsafeMutablePointer<UInt32>) throws {
    let text = Text(text)
    out[0] = try HandleTable.shared.insert(text)
    out[1] = UInt32(clamping: text.utf8.count)
  }
}

@_cdecl("mf_text_take")
public func textTake(_ handle: UInt32, _ utf8: UnsafeMutablePointer<UInt8>?, _ call: Call) -> Int32 {
  call.run("take a text") {
    let text = try HandleTable.shared.find(handle, Text.self)
    try HandleTable.shared.remove(handle)
    utf8?.update(from: text.utf8, count: text.utf8.count)
  }
}

extension String {
  /// As a JSON string.
  var json: String {
    var out = "\""
    for scalar in unicodeScalars {
      switch scalar {
      case "\"": out += "\\\""
      case "\\": out += "\\\\"
      case "\n": out += "\\n"
      case "\t": out += "\\t"
      case _ where scalar.value < 0x20:
        let hex = String(scalar.value, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      default: out.unicodeScalars.append(scalar)
      }
    }
    return out + "\""
  }
}

extension Sequence<String> {
  var jsonArray: String { "[" + joined(separator: ",") + "]" }
}
