import Threading

public protocol MTLFunction: AnyObject, Sendable {
  var label: String? { get set }
  var device: any MTLDevice { get }
  var functionType: MTLFunctionType { get }
  var name: String { get }
  var functionConstantsDictionary: [String: MTLFunctionConstant] { get }
}

public final class MTLFunctionConstant: Sendable {
  public let name: String
  public let type: MTLDataType
  public let index: Int
  /// Whether a pipeline cannot be made without it.
  public let required: Bool

  init(_ use: ConstantUse) {
    name = use.name
    type = MTLDataType(spelled: use.type)
    index = use.index
    required = use.isRequired
  }
}

open class MTLFunctionDescriptor: @unchecked Sendable {
  public var name: String?
  public var specializedName: String?
  public var constantValues: MTLFunctionConstantValues?
  public init() {}
}

/// One kernel of a library with the values of its function constants.
final class FunctionObject: MTLFunction, @unchecked Sendable {
  let library: LibraryObject
  let translation: Translation
  let kernel: Kernel
  let constants: [Int: FunctionConstant]
  let name: String
  private let lock = Mutex()
  private var givenLabel: String?

  init(
    _ library: LibraryObject, _ translation: Translation, _ kernel: Kernel, _ constants: [Int: FunctionConstant] = [:],
    name: String? = nil
  ) {
    self.library = library
    self.translation = translation
    self.kernel = kernel
    self.constants = constants
    self.name = name ?? kernel.name
  }

  var device: any MTLDevice { library.owner }
  var functionType: MTLFunctionType { .kernel }

  var label: String? {
    get { lock.holding { givenLabel } }
    set { lock.holding { givenLabel = newValue } }
  }

  var functionConstantsDictionary: [String: MTLFunctionConstant] {
    Dictionary(kernel.constants.map { ($0.name, MTLFunctionConstant($0)) }) { first, _ in first }
  }

  /// Whether the kernel has the parameter: a function constant may have switched it off.
  func takes(_ parameter: Parameter) -> Bool {
    guard let condition = parameter.condition else { return true }
    return constants[condition] == .bool(true)
  }

  func makePipeline() throws -> any EnginePipeline {
    do {
      return try library.owner.engine.makePipeline(translation, kernel, constants, library.settings)
    } catch {
      throw MTLLibraryError(error)
    }
  }
}
