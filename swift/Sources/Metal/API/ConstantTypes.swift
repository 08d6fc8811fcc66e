// Types that function constants can have: scalars, and vectors of 2 to 4 of them.

extension MTLDataType {
  private static let scalars: [(name: String, type: MTLDataType, size: Int)] = [
    ("float", .float, 4), ("half", .half, 2), ("bfloat", .bfloat, 2), ("int", .int, 4), ("uint", .uint, 4),
    ("short", .short, 2), ("ushort", .ushort, 2), ("char", .char, 1), ("uchar", .uchar, 1), ("bool", .bool, 1),
    ("long", .long, 8), ("ulong", .ulong, 8),
  ]
  private static let aliases = [
    "int8_t": "char", "uint8_t": "uchar", "int16_t": "short", "uint16_t": "ushort", "int32_t": "int", "uint32_t": "uint",
    "int64_t": "long", "uint64_t": "ulong", "size_t": "ulong", "ptrdiff_t": "long", "unsigned": "uint",
    "unsigned int": "uint", "unsigned char": "uchar", "unsigned short": "ushort", "unsigned long": "ulong",
  ]

  /// `none` for what no scalar or vector is called.
  init(spelled name: String) {
    let plain = Self.aliases[name] ?? name
    let width = plain.last.flatMap { $0.wholeNumberValue }.flatMap { (2...4).contains($0) ? $0 : nil }
    let base = width == nil ? plain : String(plain.dropLast())
    let scalar = Self.scalars.first { $0.name == base }?.type
    self = scalar.flatMap { MTLDataType(rawValue: $0.rawValue + UInt((width ?? 1) - 1)) } ?? .none
  }

  /// The scalar and how many of them; vectors' numbers follow their scalar's.
  private var parts: (scalar: MTLDataType, size: Int, count: Int)? {
    Self.scalars.first { rawValue >= $0.type.rawValue && rawValue < $0.type.rawValue + 4 }
      .map { ($0.type, $0.size, Int(rawValue - $0.type.rawValue) + 1) }
  }

  /// Bytes from one value to the next: vectors of three take the room of four.
  var stride: Int { parts.map { $0.size * ($0.count == 3 ? 4 : $0.count) } ?? 0 }

  func constant(_ value: UnsafeRawPointer) -> FunctionConstant? {
    guard let (scalar, size, count) = parts else { return nil }
    let values = (0..<count).map { scalar.scalarConstant(value + $0 * size) }
    return count == 1 ? values[0] : .vector(values)
  }

  private func scalarConstant(_ value: UnsafeRawPointer) -> FunctionConstant {
    func load<T: BitwiseCopyable>(_ type: T.Type) -> T { value.loadUnaligned(as: type) }
    return switch self {
    case .bool: .bool(load(UInt8.self) != 0)
    case .char: .int(Int64(load(Int8.self)))
    case .short: .int(Int64(load(Int16.self)))
    case .int: .int(Int64(load(Int32.self)))
    case .long: .int(load(Int64.self))
    case .uchar: .uint(UInt64(load(UInt8.self)))
    case .ushort: .uint(UInt64(load(UInt16.self)))
    case .uint: .uint(UInt64(load(UInt32.self)))
    case .ulong: .uint(load(UInt64.self))
    case .half: .float(Self.wide(load(UInt16.self)))
    case .bfloat: .float(Float(bitPattern: UInt32(load(UInt16.self)) << 16))
    default: .float(load(Float.self))
    }
  }

  /// A half's value: Float16 does not exist on every processor that Swift knows.
  private static func wide(_ bits: UInt16) -> Float {
    let sign: Float = bits & 0x8000 == 0 ? 1 : -1
    let exponent = Int(bits >> 10 & 0x1f)
    let fraction = Float(bits & 0x3ff)
    switch exponent {
    case 0: return sign * fraction * Float(sign: .plus, exponent: -24, significand: 1)
    case 31: return fraction == 0 ? sign * .infinity : .nan
    default: return sign * Float(sign: .plus, exponent: exponent - 15, significand: 1 + fraction / 1024)
    }
  }
}
