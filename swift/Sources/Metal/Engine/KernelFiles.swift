import Threading

/// Compiled kernels on disk, by a hash of all that made them: in the user's cache directory, or in a fresh one of
/// this process where that cannot be written. Other processes use it at the same time.
final class KernelFiles: @unchecked Sendable {
  /// nil where no directory can be written.
  static let shared: KernelFiles? = {
    if let root = environment("XDG_CACHE_HOME") ?? environment("HOME").map({ "\($0)/.cache" }) {
      let folder = "\(root)/metalfaiss/kernels"
      if makeFolders(folder), access(folder, W_OK | X_OK) == 0 { return KernelFiles(folder) }
    }
    var template = Array("\(environment("TMPDIR") ?? "/tmp")/metalfaiss-XXXXXX".utf8CString)
    return mkdtemp(&template).map { KernelFiles(String(cString: $0)) }
  }()

  private let folder: String
  /// Of this process alone: containers that share the folder have processes of the same number.
  private let owner = "\(getpid()).\(String(UInt64.random(in: 0...UInt64.max), radix: 36))"
  private let lock = Mutex()
  private var made = 0

  init(_ folder: String) { self.folder = folder }

  func path(_ name: String) -> String { "\(folder)/\(name)" }

  /// A path that nobody else uses.
  func temporaryPath(_ name: String) -> String {
    // It may have been removed since.
    if access(folder, F_OK) != 0 { _ = KernelFiles.makeFolders(folder) }
    let number = lock.holding {
      made += 1
      return made
    }
    return path("\(name).\(owner).\(number)")
  }

  /// 32 hexadecimal digits.
  static func key(_ parts: [String]) -> String {
    var (first, second): (UInt64, UInt64) = (0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f)
    for part in parts {
      var text = part
      text.withUTF8 { mix(UnsafeRawBufferPointer($0), &first, &second) }
    }
    return [first, second].map { value in
      let digits = String(value, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
  }

  /// What was written; nil when it is absent or damaged.
  func read(_ name: String) -> [UInt8]? {
    guard let bytes = readFile(path(name)), bytes.count > 16 else { return nil }
    let content = Array(bytes.dropLast(16))
    return KernelFiles.sum(content).elementsEqual(bytes.suffix(16)) ? content : nil
  }

  /// The content, and a sum behind it, which loaders of libraries pass over. Readers see all of it or nothing.
  func write(_ name: String, _ content: [UInt8]) -> Bool {
    let temporary = temporaryPath(name)
    guard let file = fopen(temporary, "we") else { return false }
    let bytes = content + KernelFiles.sum(content)
    let isWhole = fwrite(bytes, 1, bytes.count, file) == bytes.count
    if fclose(file) == 0, isWhole, rename(temporary, path(name)) == 0 { return true }
    unlink(temporary)
    return false
  }

  private static func sum(_ content: [UInt8]) -> [UInt8] {
    var (first, second): (UInt64, UInt64) = (1, 2)
    content.withUnsafeBytes { mix($0, &first, &second) }
    return withUnsafeBytes(of: (first, second), Array.init)
  }

  private static func mix(_ bytes: UnsafeRawBufferPointer, _ first: inout UInt64, _ second: inout UInt64) {
    func add(_ word: UInt64) {
      first = (first ^ word) &* 0x9fb2_1c65_1e98_df25
      first ^= first >> 32
      second = (second &+ word) &* 0xd6e8_feb8_6659_fd93
      second ^= (second >> 29) ^ (first << 7)
    }
    var at = 0
    while at + 8 <= bytes.count {
      add(bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
      at += 8
    }
    var last: UInt64 = 0
    while at < bytes.count {
      last = last << 8 | UInt64(bytes[at])
      at += 1
    }
    add(last)
    add(UInt64(bytes.count))
  }

  private static func makeFolders(_ path: String) -> Bool {
    var at = ""
    for part in path.split(separator: "/") {
      at += "/\(part)"
      if mkdir(at, 0o755) != 0, errno != EEXIST { return false }
    }
    return true
  }
}
