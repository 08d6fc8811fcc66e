import CMetalFaiss
import CPUKernels

/// What turns rows into codes and back, trained.
final class Codec {
  let d: Int
  let codeSize: Int
  /// What kernels see of it.
  let plain: UnsafePointer<cpu_codec>
  /// Of additive codecs.
  let additive: AdditiveCodec?
  /// Of product codecs.
  let product: ProductCodec?
  private var numbers = Memory<Float>()

  init(_ raw: mf_codec, _ trained: UnsafePointer<Float>?) throws {
    guard raw.d >= 1, raw.d <= 1 << 20 else { throw Failure.value("d must be 1 to 1,048,576, not \(raw.d)") }
    d = Int(raw.d)
    let count = try count(raw.trained, "trained")
    additive = nil
    var made = cpu_codec()
    made.kind = raw.kind
    made.d = raw.d
    switch raw.kind {
    case MF_CODEC_SCALAR.rawValue:
      let bits = Int(cpu_scalar_bits(raw.type))
      guard bits > 0 else { throw Failure.value("there is no scalar type \(raw.type)") }
      codeSize = (d * bits + 7) / 8
      product = nil
      try numbers.reserve(4 * d, used: 0)
      try Self.fill(numbers.start, d, raw.type, trained, count)
      made.scalar = cpu_scalar(
        type: raw.type, least: numbers.start, range: numbers.start + d, step: numbers.start + 2 * d,
        start: numbers.start + 3 * d)
    case MF_CODEC_PRODUCT.rawValue:
      let quantizer = try ProductCodec(raw, trained, count)
      codeSize = quantizer.codeSize
      product = quantizer
      made.product = quantizer.plain
    default: throw Failure.value("there is no codec of kind \(raw.kind)")
    }
    made.code_size = codeSize
    plain = Self.hold(made)
  }

  init(_ additive: AdditiveCodec) {
    self.additive = additive
    product = nil
    (d, codeSize) = (Int(additive.plain.pointee.d), additive.codeSize)
    var made = cpu_codec()
    made.kind = CPU_CODEC_ADDITIVE.rawValue
    made.d = UInt32(d)
    made.code_size = codeSize
    made.additive = additive.plain
    plain = Self.hold(made)
  }

  private static func hold(_ made: cpu_codec) -> UnsafePointer<cpu_codec> {
    let held = UnsafeMutablePointer<cpu_codec>.allocate(capacity: 1)
    held.initialize(to: made)
    return UnsafePointer(held)
  }

  /// Whether codes are decoded in registers.
  var isScalar: Bool { product == nil && additive == nil }

  deinit {
    plain.deallocate()
    numbers.release()
  }

  /// Least values, ranges, steps and starts of every dimension.
  private static func fill(
    _ out: UnsafeMutablePointer<Float>, _ d: Int, _ type: UInt32, _ trained: UnsafePointer<Float>?, _ count: Int
  ) throws {
    let (each, all) = ([0, 1, 6].contains(type), [2, 3].contains(type))
    let wanted = each ? 2 * d : all ? 2 : 0
    guard count == wanted else { throw Failure.shape("\(count) trained numbers where \(wanted) are needed") }
    let most = Double(1 << cpu_scalar_bits(type)) - 1
    for j in 0..<d {
      var (least, range) = (type == 8 ? Float(-128) : 0, Float(0))
      if wanted > 0, let trained {
        (least, range) = each ? (trained[j], trained[d + j]) : (trained[0], trained[1])
        guard least.isFinite, range.isFinite else { throw Failure.value("the range of column \(j) is not finite") }
      }
      let step = Double(range) / most
      out[j] = least
      out[d + j] = range
      // Those without a range are integers.
      out[2 * d + j] = wanted > 0 ? Float(step) : 1
      out[3 * d + j] = wanted > 0 ? Float(Double(least) + 0.5 * step) : least
    }
  }

  func decode(
    _ codes: UnsafePointer<UInt8>, _ n: Int, plus centroid: UnsafePointer<Float>?, _ x: UnsafeMutablePointer<Float>
  ) {
    cpu_codec_decode(Engine.shared.kernels, plain, codes, UInt64(n), centroid, x)
  }

  /// Rows that one item of a loop takes.
  private var step: Int { max(1, (1 << 16) / d) }

  func encodeAll(_ x: UnsafePointer<Float>, _ n: Int, _ codes: UnsafeMutablePointer<UInt8>, _ call: Call) throws {
    let engine = Engine.shared
    if let at = firstRefused(x, n * d, allowNaN: false, kernels: engine.kernels) {
      throw refusal(x, at, d: d, what: "row")
    }
    if let additive { return try additive.encode(x, n, codes, call) }
    engine.pool.forEach((n + step - 1) / step, parallel: n * d > 50_000) { item, _ in
      let from = item * step
      cpu_codec_encode(
        engine.kernels, plain, x + from * d, UInt64(min(step, n - from)), codes + from * codeSize)
    }
  }

  func decodeAll(_ codes: UnsafePointer<UInt8>, _ n: Int, _ x: UnsafeMutablePointer<Float>) {
    let engine = Engine.shared
    engine.pool.forEach((n + step - 1) / step, parallel: n * d > 50_000) { item, _ in
      let from = item * step
      cpu_codec_decode(
        engine.kernels, plain, codes + from * codeSize, UInt64(min(step, n - from)), nil, x + from * d)
    }
  }
}

@_cdecl("mf_codec_create")
public func codecCreate(
  _ raw: UnsafePointer<mf_codec>, _ trained: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<UInt32>, _ call: Call
) -> Int32 {
  call.run("create") { out.pointee = try HandleTable.shared.insert(try Codec(raw.pointee, trained)) }
}

@_cdecl("mf_codec_encode")
public func codecEncode(
  _ handle: UInt32, _ n: Double, _ x: UnsafePointer<Float>?, _ codes: UnsafeMutablePointer<UInt8>?, _ call: Call
) -> Int32 {
  // As errors of rows that are added are worded.
  call.run("add") {
    let codec = try HandleTable.shared.find(handle, Codec.self)
    let n = try count(n, "n")
    guard n > 0, let x, let codes else { return }
    try codec.encodeAll(x, n, codes, call)
  }
}

@_cdecl("mf_codec_decode")
public func codecDecode(
  _ handle: UInt32, _ n: Double, _ codes: UnsafePointer<UInt8>?, _ x: UnsafeMutablePointer<Float>?, _ call: Call
) -> Int32 {
  call.run("decode") {
    let codec = try HandleTable.shared.find(handle, Codec.self)
    let n = try count(n, "n")
    guard n > 0, let x, let codes else { return }
    codec.decodeAll(codes, n, x)
  }
}
