import CMetalFaiss
import Metal

/// A compiler's refusal; its log outgrows a call's message.
struct CompileFault: Error {
  let log: String

  /// The first error of the log, and how many there are.
  var summary: String {
    let lines = log.split(separator: "\n")
    let errors = lines.filter { $0.has("error:") }
    let first = errors.first ?? lines.first ?? "the compiler says nothing"
    return errors.count > 1 ? "\(first) (and \(errors.count - 1) more)" : String(first)
  }
}

/// A compiler's error: about the source, or about a compiler or device that is missing or gone.
func refusal(of error: any Error) -> any Error {
  if let error = error as? MTLLibraryError, error.code == .internal {
    return Failure(status: MF_DEVICE, message: text(of: error))
  }
  return CompileFault(log: text(of: error))
}

/// Compiled MSL and the pipelines that were made of it.
final class GPULibrary: @unchecked Sendable {
  let device: GPUDevice
  let raw: any MTLLibrary
  let name: String
  private var pipelines: [String: GPUPipeline] = [:]
  private let lock = Mutex()

  init(_ device: GPUDevice, source: String, name: String, math: UInt32) throws {
    self.device = device
    self.name = name
    let options = MTLCompileOptions()
    if #available(macOS 15, iOS 18, *) {
      options.mathMode = [.safe, .relaxed, .fast][Int(math)]
    } else {
      options.fastMathEnabled = math == 2
    }
    do {
      raw = try device.raw.makeLibrary(source: source, options: options)
    } catch {
      throw refusal(of: error)
    }
    if !name.isEmpty { raw.label = name }
  }

  func pipeline(_ name: String, _ constants: [(key: ConstantKey, value: Double)]) throws -> GPUPipeline {
    let key = name + "\0" + constants.map { "\($0.key)=\($0.value)" }.joined(separator: "\0")
    lock.acquire()
    let known = pipelines[key]
    lock.release()
    if let known { return known }
    guard raw.functionNames.contains(name) else {
      throw Failure.value("there is no kernel \"\(name)\"; \(self.name.isEmpty ? "the library" : self.name) has \(names)")
    }
    let pipeline = try GPUPipeline(device, try function(name, constants), name)
    lock.acquire()
    defer { lock.release() }
    pipelines[key] = pipeline
    return pipeline
  }

  private var names: String {
    raw.functionNames.isEmpty ? "none" : raw.functionNames.map { "\"\($0)\"" }.joined(separator: ", ")
  }

  private func function(_ name: String, _ constants: [(key: ConstantKey, value: Double)]) throws -> any MTLFunction {
    guard let plain = raw.makeFunction(name: name) else { throw Failure.value("\"\(name)\" cannot be made") }
    let declared = plain.functionConstantsDictionary
    if constants.isEmpty, declared.isEmpty { return plain }
    let values = MTLFunctionConstantValues()
    var set: Set<String> = []
    for (key, value) in constants {
      guard let (name, constant) = declared.first(where: { key.isOf($0.key, $0.value.index) }) else {
        let all = declared.values.sorted { $0.index < $1.index }.map { "\($0.name) (\($0.index))" }
        throw Failure.value(
          "kernel \"\(name)\" has no function constant \(key); it has " + (all.isEmpty ? "none" : all.joined(separator: ", ")))
      }
      set.insert(name)
      try setConstant(values, constant, value)
    }
    let unset = declared.values.filter { $0.required && !set.contains($0.name) }
    guard unset.isEmpty else {
      let names = unset.sorted { $0.index < $1.index }.map { "\($0.name) (\($0.index))" }.joined(separator: ", ")
      throw Failure.value("kernel \"\(name)\" needs the function constants \(names)")
    }
    do {
      return try raw.makeFunction(name: name, constantValues: values)
    } catch {
      throw refusal(of: error)
    }
  }

  var json: String {
    "{\"name\":\(name.json),\"functionNames\":\(raw.functionNames.map(\.json).jsonArray)}"
  }
}

/// Runs a compilation: where it is refused, the log goes to `out` as a text.
func compiling(_ out: UnsafeMutablePointer<UInt32>, _ body: () throws -> AnyObject) throws {
  do {
    out[0] = try HandleTable.shared.insert(try body())
  } catch let fault as CompileFault {
    try Text.give(fault.log, out)
    throw Failure(status: MF_COMPILE, message: fault.summary)
  }
}

@_cdecl("mf_gpu_library_create")
public func gpuLibraryCreate(
  _ device: UInt32, _ source: UnsafePointer<mf_gpu_source>, _ bytes: UnsafePointer<UInt8>?,
  _ out: UnsafeMutablePointer<UInt32>, _ call: Call
) -> Int32 {
  call.run("compile") {
    let device = try HandleTable.shared.find(device, GPUDevice.self)
    let source = source.pointee
    guard source.math_mode <= 2 else { throw Failure.value("math_mode must be 0 to 2, not \(source.math_mode)") }
    let (name, msl) = try read(source, bytes)
    try compiling(out) { try GPULibrary(device, source: msl, name: name, math: source.math_mode) }
  }
}

@_cdecl("mf_gpu_lint")
public func gpuLint(
  _ source: UnsafePointer<mf_gpu_source>, _ bytes: UnsafePointer<UInt8>?, _ out: UnsafeMutablePointer<UInt32>, _ call: Call
) -> Int32 {
  call.run("check") {
    #if os(Linux)
      let log = try read(source.pointee, bytes).msl.withLint()
      guard log.isEmpty else {
        try Text.give(log, out)
        throw Failure(status: MF_COMPILE, message: CompileFault(log: log).summary)
      }
    #else
      // The front end itself says more.
      throw Failure.value("Apple's compiler is here: compile the source")
    #endif
  }
}

#if os(Linux)
  extension String {
    /// What the lint says of MSL.
    fileprivate func withLint() throws -> String {
      do { return try metalLint(self) } catch { throw Failure(status: MF_DEVICE, message: text(of: error)) }
    }
  }
#endif

/// Name and MSL of a source record.
private func read(_ source: mf_gpu_source, _ bytes: UnsafePointer<UInt8>?) throws -> (name: String, msl: String) {
  var at = bytes
  func take(_ length: UInt32) -> String {
    defer { at = at.map { $0 + Int(length) } }
    return String(decoding: UnsafeBufferPointer(start: at, count: at == nil ? 0 : Int(length)), as: UTF8.self)
  }
  let name = take(source.name_length)
  let prefix = take(source.prefix_length)
  let text = take(source.text_length)
  if source.is_path != 0 { return (name, prefix + (try ShaderSource.read(text.split(separator: "\n").map(String.init)))) }
  return (name, name.isEmpty && prefix.isEmpty ? text : "\(prefix)#line 1 \"\(name.isEmpty ? "source" : name)\"\n\(text)")
}
