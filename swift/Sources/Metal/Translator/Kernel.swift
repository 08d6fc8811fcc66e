/// A kernel that a pipeline can be made of: a plain one, or one instantiation of a template.
struct Kernel: Sendable {
  /// As the host asks for it.
  let name: String
  /// As the emitted text calls it: "mtl_kernel_f<float, 4>".
  let expression: String
  let parameters: [Parameter]
  /// From [[max_total_threads_per_threadgroup(n)]].
  let maxTotalThreads: Int?
  /// The same as text, where it is no plain number.
  let launchBounds: String?
  let location: SourceLocation
  let place: Place
  /// The function constants that it can reach.
  let constants: [ConstantUse]
  /// Its declaration in the program, by number.
  let declaration: Int
}

struct ConstantUse: Hashable, Sendable {
  let index: Int
  let name: String
  /// As the source spells it: "bool", "uint2".
  let type: String
  /// False where the kernel asks is_function_constant_defined and so does without.
  let isRequired: Bool
}

struct Parameter: Sendable {
  let name: String
  let kind: Kind
  /// The index of the function constant that switches the argument on, if one does.
  let condition: Int?

  enum Kind: Hashable, Sendable {
    /// `isConstant`: of the address space `constant`. `isWritable`: `device` and not const.
    case buffer(index: Int, isReference: Bool, isConstant: Bool, isWritable: Bool)
    case threadgroup(index: Int)
    case builtin(String)
  }
}

struct TemplateParameter: Sendable {
  let name: String
  let isType: Bool
  let isPack: Bool
  /// Its default, empty where it has none.
  let fallback: [Token]
}

/// A kernel's definition, a template or not.
struct KernelDeclaration: Sendable {
  var declaration: Int
  var parameters: [Parameter]
  var hostName: String?
  /// The tokens of [[max_total_threads_per_threadgroup(…)]].
  var bounds: Range<Int>?
  var templateParameters: [TemplateParameter]
}
