import Glibc
import Threading

/// A library opened at run time. It stays open: threads of it may outlive every use of ours.
struct LoadedLibrary: @unchecked Sendable {
  let handle: UnsafeMutableRawPointer
  let path: String

  /// The function of that name, as the C type that the caller assigns it to.
  func function<T>(_ name: String) throws -> T {
    guard let found: T = optional(name) else { throw EngineError.failed("\(path) has no \(name)") }
    return found
  }

  func optional<T>(_ name: String) -> T? {
    dlsym(handle, name).map { unsafeBitCast($0, to: T.self) }
  }
}

/// Finds the driver, NVRTC and cuBLAS, each once, and remembers what was looked at.
final class CudaLibraries: @unchecked Sendable {
  typealias Line = (what: String, path: String, result: String)

  static let shared = CudaLibraries()

  private let lock = Mutex()
  private var lines: [Line] = []
  private var driverResult: Result<CudaDriver, EngineError>?
  private var nvrtcResult: Result<NVRTC, EngineError>?
  private var cublasResult: Result<CuBLAS, EngineError>?

  /// What was searched and found, for `doctor`. Looks for all three.
  static func report() -> [Line] {
    _ = try? shared.driver()
    _ = try? shared.nvrtc()
    _ = try? shared.cublas()
    shared.lock.acquire()
    defer { shared.lock.release() }
    return shared.lines
  }

  func driver() throws -> CudaDriver {
    try once(\.driverResult) { try findDriver() }
  }

  func nvrtc() throws -> NVRTC {
    let limit = (try? driver()).map { $0.version / 1000 }
    return try once(\.nvrtcResult) {
      try find("libnvrtc", "CUDA's run-time compiler (NVRTC)", driverMajor: limit) { library in
        let found = try NVRTC(library)
        return (found, "\(found.major).\(found.minor)")
      }
    }
  }

  func cublas() throws -> CuBLAS {
    let limit = (try? driver()).map { $0.version / 1000 }
    return try once(\.cublasResult) {
      try find("libcublas", "cuBLAS", driverMajor: limit) { library in
        let found = try CuBLAS(library)
        return (found, found.version)
      }
    }
  }

  private func once<T>(_ slot: ReferenceWritableKeyPath<CudaLibraries, Result<T, EngineError>?>, _ make: () throws -> T)
    throws -> T
  {
    lock.acquire()
    defer { lock.release() }
    if let known = self[keyPath: slot] { return try known.get() }
    let result: Result<T, EngineError>
    do { result = .success(try make()) } catch let error as EngineError { result = .failure(error) } catch {
      result = .failure(.failed("\(error)"))
    }
    self[keyPath: slot] = result
    return try result.get()
  }

  private func findDriver() throws -> CudaDriver {
    let places = [
      "", "/usr/lib/x86_64-linux-gnu/", "/usr/lib/aarch64-linux-gnu/", "/usr/lib64/", "/usr/lib/wsl/lib/",
      "/usr/local/nvidia/lib64/", "/usr/local/cuda/compat/",
    ]
    var reasons: [String] = []
    for place in places where place.isEmpty || access(place + "libcuda.so.1", F_OK) == 0 {
      let path = place + "libcuda.so.1"
      do {
        let library = try CudaLibraries.open(path)
        let driver = try CudaDriver(library)
        lines.append(("libcuda", library.path, "CUDA \(driver.version / 1000).\(driver.version % 1000 / 10)"))
        return driver
      } catch let error as EngineError {
        lines.append(("libcuda", path, error.message))
        reasons.append(error.message)
      }
    }
    throw EngineError.failed("no NVIDIA driver: \(reasons.joined(separator: "; "))")
  }

  /// Opens the newest version that the driver's major version covers, else the oldest above it.
  private func find<T>(
    _ name: String, _ title: String, driverMajor: Int?, _ make: (LoadedLibrary) throws -> (T, String)
  ) throws -> T {
    var candidates: [(path: String, version: [Int])] = []
    for major in (11...14).reversed() { candidates.append(("\(name).so.\(major)", [major])) }
    let folders = LibraryFolders.all()
    for folder in folders {
      for file in LibraryFolders.files(in: folder) where file.hasPrefix(name + ".so.") {
        let version = file.dropFirst(name.utf8.count + 4).split(separator: ".").compactMap { Int($0) }
        if !version.isEmpty { candidates.append(("\(folder)/\(file)", version)) }
      }
    }
    let limit = driverMajor ?? Int.max
    let ranked = candidates.enumerated().sorted { a, b in
      let (x, y) = (a.element.version[0], b.element.version[0])
      if (x <= limit) != (y <= limit) { return x <= limit }
      if x != y { return x <= limit ? x > y : x < y }
      return a.offset < b.offset
    }.map(\.element.path)
    for path in ranked {
      do {
        let library = try CudaLibraries.open(path)
        let (made, version) = try make(library)
        lines.append((name, library.path, version))
        return made
      } catch let error as EngineError {
        // The loader's own path is asked for four versions; a miss there is no news.
        if path.hasPrefix("/") { lines.append((name, path, error.message)) }
      }
    }
    let searched = ["the loader's path"] + folders
    lines.append((name, searched.joined(separator: ":"), "not found"))
    throw EngineError.failed(
      "\(title) was not found (\(name).so.12 or newer; looked in \(searched.joined(separator: ", ")))")
  }

  static func open(_ path: String) throws -> LoadedLibrary {
    // Neighbours that the library opens by bare name are found once they are loaded.
    if let slash = path.lastIndex(of: "/") {
      let folder = String(path[..<slash])
      let file = path[path.index(after: slash)...]
      let neighbour =
        file.hasPrefix("libnvrtc.") ? "libnvrtc-builtins.so." : file.hasPrefix("libcublas.") ? "libcublasLt.so." : nil
      if let neighbour {
        let version = file.split(separator: ".").dropFirst(2).first.map(String.init) ?? ""
        for other in LibraryFolders.files(in: folder) where other.hasPrefix(neighbour + version) {
          dlopen("\(folder)/\(other)", RTLD_LAZY | RTLD_GLOBAL)
        }
      }
    }
    guard let handle = dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
      throw EngineError.failed(dlerror().map { String(cString: $0) } ?? "cannot open \(path)")
    }
    return LoadedLibrary(handle: handle, path: origin(of: handle) ?? path)
  }

  /// Which file the loader chose. Glibc's module leaves dladdr out.
  private static func origin(of handle: UnsafeMutableRawPointer) -> String? {
    let names = ["cuInit", "nvrtcVersion", "cublasCreate_v2"]
    guard let symbol = names.lazy.compactMap({ (name: String) in dlsym(handle, name) }).first,
      let find = dlsym(nil, "dladdr")
    else { return nil }
    let dladdr = unsafeBitCast(
      find, to: (@convention(c) (UnsafeRawPointer, UnsafeMutablePointer<UnsafePointer<CChar>?>) -> Int32).self)
    // Dl_info: four pointers, the file's name first.
    var information = [UnsafePointer<CChar>?](repeating: nil, count: 4)
    return dladdr(symbol, &information) != 0 ? information[0].map { String(cString: $0) } : nil
  }
}

/// Where CUDA's libraries lie when they are not on the loader's path.
enum LibraryFolders {
  static func all() -> [String] {
    var patterns: [String] = []
    for variable in ["CUDA_HOME", "CUDA_PATH"] {
      if let root = environment(variable) { patterns += ["\(root)/lib64", "\(root)/targets/*/lib", "\(root)/lib"] }
    }
    patterns += ["/usr/local/cuda/lib64", "/usr/local/cuda*/lib64", "/usr/local/cuda*/targets/*/lib"]
    var pythons: [String] = []
    if let root = environment("VIRTUAL_ENV") { pythons.append(root) }
    pythons += ["/opt/*/.venv", "/opt/*", "/usr", "/usr/local"]
    if let home = environment("HOME") { pythons.append("\(home)/.local") }
    for root in pythons {
      for packages in ["site-packages", "dist-packages"] {
        patterns.append("\(root)/lib/python3*/\(packages)/nvidia/*/lib")
      }
    }
    var seen: Set<String> = []
    return patterns.flatMap(expand).filter { seen.insert($0).inserted }
  }

  /// Newer versions first.
  static func files(in folder: String) -> [String] { fileNames(in: folder).reversed() }

  private static func expand(_ pattern: String) -> [String] {
    var found = glob_t()
    defer { globfree(&found) }
    guard glob(pattern, 0, nil, &found) == 0 else { return [] }
    return (0..<Int(found.gl_pathc)).compactMap { found.gl_pathv[$0].map { String(cString: $0) } }
  }
}
