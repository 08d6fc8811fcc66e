import Threading

public typealias MTLNewLibraryCompletionHandler = @Sendable ((any MTLLibrary)?, (any Error)?) -> Void

public protocol MTLLibrary: AnyObject, Sendable {
  var label: String? { get set }
  var device: any MTLDevice { get }
  var functionNames: [String] { get }
  var type: MTLLibraryType { get }
  var installName: String? { get }
  func makeFunction(name functionName: String) -> (any MTLFunction)?
  func makeFunction(name: String, constantValues: MTLFunctionConstantValues) throws -> any MTLFunction
  @preconcurrency func makeFunction(
    name: String, constantValues: MTLFunctionConstantValues,
    completionHandler: @escaping @Sendable ((any MTLFunction)?, (any Error)?) -> Void)
  func makeFunction(descriptor: MTLFunctionDescriptor) throws -> any MTLFunction
  @preconcurrency func makeFunction(
    descriptor: MTLFunctionDescriptor, completionHandler: @escaping @Sendable ((any MTLFunction)?, (any Error)?) -> Void)
}

/// The kernels of one source text, or of the files of a program's default library.
final class LibraryObject: MTLLibrary, @unchecked Sendable {
  let owner: DeviceObject
  let settings: CompileSettings
  private let kernels: [(translation: Translation, kernel: Kernel)]
  private let lock = Mutex()
  private var name: String?

  init(_ owner: DeviceObject, sources: [(name: String, text: String)], _ options: MTLCompileOptions?) throws {
    self.owner = owner
    settings = (options ?? MTLCompileOptions()).settings
    var kernels: [(Translation, Kernel)] = []
    do {
      for source in sources {
        let translation = try Translation(source: source.text, name: source.name, macros: settings.macros)
        try owner.engine.check(translation, settings)
        kernels += translation.kernels.map { (translation, $0) }
      }
    } catch {
      throw MTLLibraryError(error)
    }
    self.kernels = kernels
  }

  var device: any MTLDevice { owner }
  var type: MTLLibraryType { .executable }
  var installName: String? { nil }
  var functionNames: [String] { kernels.map(\.kernel.name) }

  var label: String? {
    get { lock.holding { name } }
    set { lock.holding { name = newValue } }
  }

  func makeFunction(name: String) -> (any MTLFunction)? {
    kernels.first { $0.kernel.name == name }.map { FunctionObject(self, $0.translation, $0.kernel) }
  }

  func makeFunction(name: String, constantValues: MTLFunctionConstantValues) throws -> any MTLFunction {
    try specialize(name, constantValues, as: nil)
  }

  func makeFunction(descriptor: MTLFunctionDescriptor) throws -> any MTLFunction {
    try specialize(descriptor.name ?? "", descriptor.constantValues, as: descriptor.specializedName)
  }

  private func specialize(_ name: String, _ values: MTLFunctionConstantValues?, as newName: String?) throws
    -> FunctionObject
  {
    guard let (translation, kernel) = kernels.first(where: { $0.kernel.name == name }) else {
      let all = functionNames.isEmpty ? "none" : functionNames.map { "\"\($0)\"" }.joined(separator: ", ")
      throw MTLLibraryError(.functionNotFound, "Cannot make function \"\(name)\": the library has \(all)")
    }
    return FunctionObject(self, translation, kernel, try values?.bound(to: kernel) ?? [:], name: newName)
  }

  func makeFunction(
    name: String, constantValues: MTLFunctionConstantValues,
    completionHandler: @escaping @Sendable ((any MTLFunction)?, (any Error)?) -> Void
  ) {
    owner.later { try self.makeFunction(name: name, constantValues: constantValues) } then: { completionHandler($0, $1) }
  }

  func makeFunction(
    descriptor: MTLFunctionDescriptor, completionHandler: @escaping @Sendable ((any MTLFunction)?, (any Error)?) -> Void
  ) {
    owner.later { try self.makeFunction(descriptor: descriptor) } then: { completionHandler($0, $1) }
  }
}
