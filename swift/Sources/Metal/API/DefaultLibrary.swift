// Files of MSL. On Apple a build compiles a program's .metal files into its default library; here they are
// read as they are, from where a build leaves resources.

enum ShaderFiles {
  /// The .metal files beside the program and in the resource bundles beside it.
  static func ofProgram() -> [(name: String, text: String)] {
    guard let program = realpath("/proc/self/exe", nil) else { return [] }
    defer { free(program) }
    var folder = String(cString: program)
    folder.removeSubrange((folder.lastIndex(of: "/") ?? folder.startIndex)...)
    var files = names(in: folder, ending: ".metal").map { "\(folder)/\($0)" }
    for bundle in names(in: folder, ending: ".resources") {
      files += names(in: "\(folder)/\(bundle)", ending: ".metal").map { "\(folder)/\(bundle)/\($0)" }
    }
    return files.compactMap { path in
      read(path).map { (path.split(separator: "/").last.map(String.init) ?? path, $0) }
    }
  }

  static func read(_ path: String) -> String? { readFile(path).flatMap { String(validating: $0, as: UTF8.self) } }

  /// The path of a file URL as text: what Foundation's URL prints.
  static func path(ofURL url: String) -> String {
    guard url.hasPrefix("file://") else { return url }
    var bytes: [UInt8] = []
    var rest = Substring(url.dropFirst("file://".count)).utf8
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "%"), let value = UInt8(Substring(rest.prefix(2)), radix: 16) {
        bytes.append(value)
        rest = rest.dropFirst(2)
      } else {
        bytes.append(byte)
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  private static func names(in folder: String, ending: String) -> [String] {
    fileNames(in: folder).filter { $0.hasSuffix(ending) }
  }
}
