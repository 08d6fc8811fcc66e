// For `doctor`: which engines there are and where their parts were looked for. Not in Apple's API.

/// JSON: `{engine, devices: [{name, engine}], searched: [{what, path, result}]}`; `engine` is the default
/// device's, or null.
public func metalEngineReport() -> String {
  let devices = MTLCopyAllDevices().map { "{\"name\":\(quoted($0.name)),\"engine\":\(quoted(metalEngineName($0)))}" }
  let clang = ClangTool.find()
  var searched = CudaLibraries.report()
  searched.append(("clang, for the emulator", clang?.path ?? "", clang == nil ? ClangTool.missing : "found"))
  let lines = searched.map { line in
    "{\"what\":\(quoted(line.what)),\"path\":\(quoted(line.path)),\"result\":\(quoted(line.result))}"
  }
  let engine = MTLCreateSystemDefaultDevice().map { quoted(metalEngineName($0)) } ?? "null"
  return "{\"engine\":\(engine),\"devices\":[\(devices.joined(separator: ","))],\"searched\":[\(lines.joined(separator: ","))]}"
}

private func quoted(_ text: String) -> String {
  var out = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"", "\\": out += "\\\(scalar)"
    case "\n": out += "\\n"
    case _ where scalar.value < 0x20: out += " "
    default: out.unicodeScalars.append(scalar)
    }
  }
  return out + "\""
}
