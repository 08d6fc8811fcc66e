import Glibc
import Threading

/// Compiled kernels on disk, by a hash of all that made them. Whatever goes wrong there only costs a compilation.
final class KernelFiles: @unchecked Sendable {
  /// nil where no directory can be written.
  static let shared: KernelFiles? = {
    var roots: [String] = []
    if let path = LibraryFolders.environment("XDG_CACHE_HOME") {
      roots.append(path)
    } else if let path = LibraryFolders.environment("HOME") {
      roots.append("\(path)/.cache")
    }
    for root in roots {
      let folder = "\(root)/metalfaiss/kernels"
      if makeFolders(folder), access(folder, W_OK) == 0 { return KernelFiles(folder) }
    }
    // Nobody else's: a fresh one.
    var template = Array("\(LibraryFolders.environment("TMPDIR") ?? "/tmp")/metalfaiss-XXXXXX".utf8CString)
    return mkdtemp(&template).map { KernelFiles(String(cString: $0)) }
  }()

  private let folder: String
  private let lock = Mutex()
  private var written = 0

  init(_ folder: String) { self.folder = folder }

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

  func read(_ key: String) -> [UInt8]? {
    guard let file = fopen(path(key), "rb") else { return nil }
    defer { fclose(file) }
    fseek(file, 0, SEEK_END)
    let bytes = ftell(file) - 16
    guard bytes > 0 else { return nil }
    rewind(file)
    var check: [UInt64] = [0, 0]
    guard fread(&check, 8, 2, file) == 2 else { return nil }
    let code = [UInt8](unsafeUninitializedCapacity: bytes) { buffer, count in
      count = fread(buffer.baseAddress, 1, bytes, file)
    }
    return code.count == bytes && check == KernelFiles.sum(code) ? code : nil
  }

  /// Readers see all of it or nothing.
  func write(_ key: String, _ code: [UInt8]) {
    lock.acquire()
    written += 1
    let temporary = "\(path(key)).\(getpid()).\(written)"
    lock.release()
    guard let file = fopen(temporary, "wb") else { return }
    let whole = fwrite(KernelFiles.sum(code), 8, 2, file) == 2 && fwrite(code, 1, code.count, file) == code.count
    if fclose(file) != 0 || !whole || rename(temporary, path(key)) != 0 { unlink(temporary) }
  }

  private func path(_ key: String) -> String { "\(folder)/\(key).cubin" }

  private static func sum(_ code: [UInt8]) -> [UInt64] {
    var (first, second): (UInt64, UInt64) = (1, 2)
    code.withUnsafeBytes { mix($0, &first, &second) }
    return [first, second]
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
