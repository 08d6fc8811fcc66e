open class MTLCompileOptions: @unchecked Sendable {
  /// Names and their values: strings or numbers. On Apple the values are NSObjects (NSString, NSNumber).
  public var preprocessorMacros: [String: Any]?
  public var mathMode: MTLMathMode = .fast
  public var mathFloatingPointFunctions: MTLMathFloatingPointFunctions = .fast
  public var languageVersion: MTLLanguageVersion = .version3_2
  public var libraryType: MTLLibraryType = .executable
  public var installName: String?
  public var libraries: [any MTLDynamicLibrary]?
  public var preserveInvariance = false
  public var optimizationLevel: MTLLibraryOptimizationLevel = .default
  public var allowReferencingUndefinedSymbols = false
  public var maxTotalThreadsPerThreadgroup = 0

  /// The older way to choose between the first and the last math mode.
  public var fastMathEnabled: Bool {
    get { mathMode == .fast }
    set { mathMode = newValue ? .fast : .safe }
  }

  public init() {}

  var settings: CompileSettings {
    CompileSettings(
      mathMode: CompileSettings.MathMode(rawValue: mathMode.rawValue) ?? .safe,
      macros: (preprocessorMacros ?? [:]).mapValues { "\($0)" })
  }
}

/// No device of this module makes one.
public protocol MTLDynamicLibrary: AnyObject, Sendable {
  var label: String? { get set }
  var device: any MTLDevice { get }
  var installName: String { get }
}
