import Threading

/// The compiler that the emulator's kernels go through: the Swift toolchain's clang, or another one.
struct ClangTool: Sendable {
  let path: String
  /// Changes with the compiler: path, size and time of the file.
  let identity: String
  /// Whether its own linker lies beside it.
  let hasLinker: Bool

  static let missing = """
    Cannot compile kernels for the emulator: no clang was found beside `swift` on PATH, on PATH itself or in \
    /usr/libexec/swift, /usr/lib/llvm-*, /opt and ~/.local/share/swiftly. Install Swift (`apt-get install swiftlang` on Debian, \
    https://swift.org/install elsewhere) or clang 17 or later (`apt-get install clang`)
    """

  /// The first that is there.
  static func find() -> ClangTool? {
    let folders = (environment("PATH") ?? "").split(separator: ":").map(String.init)
    var candidates: [String] = []
    for folder in folders {
      for name in ["swift", "swiftc"] {
        guard let real = resolve("\(folder)/\(name)") else { continue }
        let beside = parent(real)
        candidates += ["\(beside)/clang", "\(parent(beside))/bin/clang", "\(parent(beside))/libexec/swift/bin/clang"]
      }
    }
    let versions = (17...24).reversed()
    for folder in folders {
      candidates.append("\(folder)/clang++")
      candidates += versions.map { "\(folder)/clang++-\($0)" }
    }
    candidates.append("/usr/libexec/swift/bin/clang")
    candidates += versions.map { "/usr/lib/llvm-\($0)/bin/clang" }
    candidates += ["/opt/swift/usr/bin/clang", "/usr/share/swift/usr/bin/clang"]
    if let home = environment("HOME") {
      let toolchains = "\(home)/.local/share/swiftly/toolchains"
      candidates += fileNames(in: toolchains).reversed().map { "\(toolchains)/\($0)/usr/bin/clang" }
    }
    return candidates.lazy.compactMap(ClangTool.init).first
  }

  init?(_ candidate: String) {
    guard let real = ClangTool.resolve(candidate) else { return nil }
    var status = stat()
    guard stat(real, &status) == 0, status.st_mode & S_IFMT == S_IFREG, access(real, X_OK) == 0 else { return nil }
    path = candidate
    identity = "\(real) \(status.st_size) \(status.st_mtim.tv_sec)"
    hasLinker = access("\(ClangTool.parent(candidate))/ld.lld", X_OK) == 0
  }

  private static func parent(_ path: String) -> String {
    String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)])
  }

  private static func resolve(_ path: String) -> String? {
    guard let real = realpath(path, nil) else { return nil }
    defer { free(real) }
    return String(cString: real)
  }
}
