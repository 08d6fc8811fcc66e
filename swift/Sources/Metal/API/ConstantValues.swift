/// Values for function constants, by index or by name; the last one set counts.
open class MTLFunctionConstantValues: @unchecked Sendable {
  struct Value: Sendable {
    let type: MTLDataType
    /// nil where no function constant is of the type.
    let constant: FunctionConstant?
  }

  private(set) var byIndex: [Int: Value] = [:]
  private(set) var byName: [String: Value] = [:]

  public init() {}

  public func setConstantValue(_ value: UnsafeRawPointer, type: MTLDataType, index: Int) {
    byIndex[index] = Value(type: type, constant: type.constant(value))
  }

  public func setConstantValue(_ value: UnsafeRawPointer, type: MTLDataType, withName name: String) {
    byName[name] = Value(type: type, constant: type.constant(value))
  }

  /// One value after the other, for the indices of the range.
  public func setConstantValues(_ values: UnsafeRawPointer, type: MTLDataType, range: Range<Int>) {
    for (i, index) in range.enumerated() {
      setConstantValue(values + i * type.stride, type: type, index: index)
    }
  }

  public func reset() {
    byIndex = [:]
    byName = [:]
  }

  /// Those that a kernel uses, as the translator takes them.
  func bound(to kernel: Kernel) throws -> [Int: FunctionConstant] {
    var bound: [Int: FunctionConstant] = [:]
    for use in kernel.constants {
      guard let value = byName[use.name] ?? byIndex[use.index] else { continue }
      let wanted = MTLDataType(spelled: use.type)
      guard wanted == .none || value.type == wanted else {
        throw MTLLibraryError(
          .compileFailure,
          "Cannot specialize kernel \"\(kernel.name)\": function constant \"\(use.name)\" (\(use.index)) is of type \(wanted), "
            + "and its value of type \(value.type)")
      }
      guard let constant = value.constant else {
        throw MTLLibraryError(
          .unsupported, "Cannot specialize kernel \"\(kernel.name)\": \"\(use.name)\" cannot be of type \(value.type)")
      }
      bound[use.index] = constant
    }
    return bound
  }
}

