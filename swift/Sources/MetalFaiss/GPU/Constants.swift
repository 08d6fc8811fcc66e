import CMetalFaiss
import Metal

/// How a caller names a function constant.
enum ConstantKey: CustomStringConvertible {
  case index(Int)
  case name(String)

  func isOf(_ name: String, _ index: Int) -> Bool {
    switch self {
    case .index(let wanted): wanted == index
    case .name(let wanted): wanted == name
    }
  }

  var description: String {
    switch self {
    case .index(let index): "\(index)"
    case .name(let name): "\"\(name)\""
    }
  }
}

/// Sets a constant to a number, in the type that the kernel declares.
func setConstant(_ values: MTLFunctionConstantValues, _ constant: MTLFunctionConstant, _ value: Double) throws {
  let number = Int(exactly: value).map { "\($0)" } ?? "\(value)"
  func set<T>(_ value: T?) throws {
    guard let value else { throw Failure.value("\(constant.name) cannot be \(number): its type does not hold it") }
    withUnsafeBytes(of: value) {
      values.setConstantValue($0.baseAddress!, type: constant.type, index: constant.index)
    }
  }
  switch constant.type {
  case .bool: try set(value == 0 || value == 1 ? value == 1 : nil)
  case .char: try set(Int8(exactly: value))
  case .uchar: try set(UInt8(exactly: value))
  case .short: try set(Int16(exactly: value))
  case .ushort: try set(UInt16(exactly: value))
  case .int: try set(Int32(exactly: value))
  case .uint: try set(UInt32(exactly: value))
  case .long: try set(Int64(exactly: value))
  case .ulong: try set(UInt64(exactly: value))
  case .float: try set(Float(value))
  case .half: try set(halfBits(Float(value)))
  default: throw Failure.shape("\(constant.name) is no boolean and no number")
  }
}

/// Bits of the nearest half; Float16 does not exist on every Mac.
private func halfBits(_ value: Float) -> UInt16 {
  let sign = UInt16(truncatingIfNeeded: value.bitPattern >> 16) & 0x8000
  let size = value.magnitude
  if value.isNaN { return sign | 0x7e00 }
  if size >= 65520 { return sign | 0x7c00 }
  // Adding a power of two rounds to the step of halves there, to even.
  let exponent = max(Int(size.bitPattern >> 23) - 127, -14)
  let magic = Float(sign: .plus, exponent: exponent + 13, significand: 1.5)
  let rounded = (size + magic) - magic
  if rounded == 0 { return sign }
  if rounded.exponent < -14 { return sign | UInt16(rounded * Float(1 << 24)) }
  let bits = rounded.bitPattern
  return sign | UInt16((bits >> 23) - 112) << 10 | UInt16(bits >> 13 & 0x3ff)
}

/// Constants and names as mf_gpu_pipeline_create gets them.
func parsePipelineRequest(_ count: UInt32, _ bytes: UnsafeRawBufferPointer) throws
  -> (name: String, constants: [(key: ConstantKey, value: Double)])
{
  let size = MemoryLayout<mf_gpu_constant>.size
  guard Int(count) <= bytes.count / size else { throw Failure.shape("the request is cut short") }
  let text = UnsafeRawBufferPointer(rebasing: bytes[(Int(count) * size)...])
  guard let end = text.firstIndex(of: 0) else { throw Failure.shape("the request has no name") }
  let name = String(decoding: text[..<end], as: UTF8.self)
  var at = end + 1
  var constants: [(key: ConstantKey, value: Double)] = []
  for i in 0..<Int(count) {
    let constant = bytes.loadUnaligned(fromByteOffset: i * size, as: mf_gpu_constant.self)
    let length = Int(constant.key_length)
    guard length <= text.count - at else { throw Failure.shape("the request is cut short") }
    let key = String(decoding: text[at..<at + length], as: UTF8.self)
    at += length
    constants.append((length > 0 ? .name(key) : .index(Int(constant.index)), constant.value))
  }
  return (name, constants)
}
