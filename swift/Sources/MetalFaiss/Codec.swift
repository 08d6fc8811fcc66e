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
  /// Of codecs of signs.
  let rabitq: RaBitQCodec?
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
      rabitq = nil
      try numbers.reserve(4 * d, used: 0)
      try Self.fill(numbers.start, d, raw.type, trained, count)
      made.scalar = cpu_scalar(
        type: raw.type, least: numbers.start, range: numbers.start + d, step: numbers.start + 2 * d,
        start: numbers.start + 3 * d)
    case MF_CODEC_PRODUCT.rawValue:
      let quantizer = try ProductCodec(raw, trained, count)
      codeSize = quantizer.codeSize
      product = quantizer
      rabitq = nil
      made.product = quantizer.plain
      switch raw.type {
      case MF_LAYOUT_ROWS.rawValue: break
      case MF_LAYOUT_BLOCKS.rawValue:
        guard raw.nbits == 4 else { throw Failure.value("codes in blocks are of 4 bits, not \(raw.nbits)") }
        made.layout = cpu_fast_layout(parts: raw.m, extra: 0)
      default: throw Failure.value("there is no layout \(raw.type) of codes")
      }
    case MF_CODEC_RABITQ.rawValue, MF_CODEC_SIGNS.rawValue:
      let quantizer = try RaBitQCodec(raw, trained, count)
      codeSize = quantizer.codeSize
      product = nil
      rabitq = quantizer
      made.rabitq = quantizer.plain
    case MF_CODEC_BINARY.rawValue:
      codeSize = (d + 7) / 8
      product = nil
      rabitq = nil
    default: throw Failure.value("there is no codec of kind \(raw.kind)")
    }
    made.code_size = codeSize
    plain = Self.hold(made)
  }

  init(_ additive: AdditiveCodec) {
    self.additive = additive
    product = nil
    rabitq = nil
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
  var isScalar: Bool { plain.pointee.kind == MF_CODEC_SCALAR.rawValue }

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

  /// Whether stores keep codes in blocks.
  var isInBlocks: Bool { plain.pointee.layout.parts > 0 }

  /// Bytes that a store takes for codes.
  func storedBytes(_ n: Int) -> Int {
    isInBlocks ? cpu_fast_bytes(layout, UInt64(n)) : n * codeSize
  }

  /// Writes codes to places of a store.
  func put(_ store: UnsafeMutablePointer<UInt8>, _ at: Int, _ codes: UnsafePointer<UInt8>, _ n: Int) {
    if isInBlocks {
      cpu_fast_put(layout, store, UInt64(at), codes, UInt64(n))
    } else {
      (store + at * codeSize).update(from: codes, count: n * codeSize)
    }
  }

  /// Copies codes from their places in a store.
  func get(_ store: UnsafePointer<UInt8>, _ at: Int, _ n: Int, _ codes: UnsafeMutablePointer<UInt8>) {
    if isInBlocks {
      cpu_fast_get(layout, store, UInt64(at), UInt64(n), codes)
    } else {
      codes.update(from: store + at * codeSize, count: n * codeSize)
    }
  }

  /// Moves a code to another place of its store.
  func move(_ store: UnsafeMutablePointer<UInt8>, to: Int, from: Int) {
    if isInBlocks {
      cpu_fast_move(layout, store, UInt64(to), UInt64(from))
    } else {
      memmove(store + to * codeSize, store + from * codeSize, codeSize)
    }
  }

  /// Copies codes of one store to places of another.
  func copy(_ store: UnsafeMutablePointer<UInt8>, _ at: Int, from other: UnsafePointer<UInt8>, _ n: Int) {
    guard isInBlocks, at % Int(CPU_FAST_BLOCK) != 0 else {
      store.advanced(by: storedBytes(at)).update(from: other, count: storedBytes(n))
      return
    }
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: codeSize) { code in
      for i in 0..<n {
        get(other, i, 1, code.baseAddress!)
        put(store, at + i, code.baseAddress!, 1)
      }
    }
  }

  /// What the code at a place of a store stands for.
  func decode(
    _ store: UnsafePointer<UInt8>, at: Int, plus centroid: UnsafePointer<Float>?, _ x: UnsafeMutablePointer<Float>
  ) {
    cpu_codec_decode_at(Engine.shared.kernels, plain, store, UInt64(at), centroid, x)
  }

  /// Throws unless a store of another codec's codes may be copied into one of this.
  func check(_ other: Codec) throws {
    guard d == other.d, codeSize == other.codeSize else {
      throw Failure.shape("codes of \(other.codeSize) bytes do not fit codes of \(codeSize)")
    }
    guard isInBlocks == other.isInBlocks, layout.pointee.parts == other.layout.pointee.parts else {
      throw Failure.shape("codes are laid out differently in the two stores")
    }
  }

  private var layout: UnsafePointer<cpu_fast_layout> {
    UnsafeRawPointer(plain).advanced(by: MemoryLayout<cpu_codec>.offset(of: \.layout)!)
      .assumingMemoryBound(to: cpu_fast_layout.self)
  }

  /// Rows that one item of a loop takes.
  private var step: Int { max(1, (1 << 16) / d) }

  func encodeAll(
    _ x: UnsafePointer<Float>, about: UnsafePointer<Float>? = nil, _ n: Int, _ codes: UnsafeMutablePointer<UInt8>,
    _ call: Call
  ) throws {
    let engine = Engine.shared
    if let at = firstRefused(x, n * d, allowNaN: false, kernels: engine.kernels) {
      throw refusal(x, at, d: d, what: "row")
    }
    if let rabitq { return try rabitq.encodeAll(x, about: about, n, codes) }
    guard about == nil else { throw Failure.value("codes of this kind are about nothing") }
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

@_cdecl("mf_codec_encode_about")
public func codecEncodeAbout(
  _ handle: UInt32, _ n: Double, _ x: UnsafePointer<Float>?, _ about: UnsafePointer<Float>?,
  _ codes: UnsafeMutablePointer<UInt8>?, _ call: Call
) -> Int32 {
  call.run("add") {
    let codec = try HandleTable.shared.find(handle, Codec.self)
    let n = try count(n, "n")
    guard n > 0, let x, let codes else { return }
    try codec.encodeAll(x, about: about, n, codes, call)
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
