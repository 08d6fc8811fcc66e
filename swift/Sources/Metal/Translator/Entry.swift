/// The function that an engine starts for one kernel.
enum Entry {
  static func text(_ kernel: Kernel, _ target: Target, inlineArguments: Set<Int>) -> String {
    let parameters = kernel.parameters
    func type(_ i: Int) -> String { "mtl_parameter<mtl_f, \(i)>" }
    var arguments: [String] = []
    var declared: [String] = []
    var locals: [String] = []
    for (i, parameter) in parameters.enumerated() {
      switch (parameter.kind, target) {
      case (.builtin(let name), _): arguments.append("mtl_builtin<\(type(i))>(mtl_\(name)(mtl_t))")
      case (_, .emulator), (_, .lint): arguments.append("mtl_argument<\(type(i))>(mtl_a[\(i)])")
      case (.threadgroup, .cuda):
        declared.append("unsigned a\(i)")
        arguments.append("mtl_dynamic<\(type(i))>(a\(i))")
      case (.buffer(_, let isReference, _, let isWritable), .cuda):
        if !isReference {
          declared.append("\(type(i)) a\(i)")
          arguments.append("a\(i)")
        } else if inlineArguments.contains(i) {
          declared.append("const __grid_constant__ mtl_value<\(type(i))> a\(i)")
          // Bytes that a kernel writes to are its own copy.
          if isWritable { locals.append("mtl_value<\(type(i))> b\(i) = a\(i);") }
          arguments.append(isWritable ? "b\(i)" : "a\(i)")
        } else {
          declared.append("mtl_value<\(type(i))> *a\(i)")
          arguments.append("*a\(i)")
        }
      }
    }
    let call = "\(kernel.expression)(\(arguments.joined(separator: ", ")));"
    let bytes = parameters.indices.map { "mtl_bytes<\(type($0))>()" } + (parameters.isEmpty ? ["0"] : [])
    var lines = ["using mtl_f = decltype(&\(kernel.expression));"]
    if target == .cuda {
      declared.append("const __grid_constant__ mtl_grid mtl_t")
      lines.append("extern \"C\" __constant__ const unsigned mtl_argument_bytes[] = { \(bytes.joined(separator: ", ")) };")
      // At least 512 threads a multiprocessor: with more than 128 registers each, too few hide memory's latency.
      let most = kernel.launchBounds ?? "1024"
      let bounds = "\(most), (\(most)) < 512 ? 512 / (\(most)) : 1"
      lines.append("extern \"C\" __global__ void __launch_bounds__(\(bounds)) mtl_entry(\(declared.joined(separator: ", "))) {")
      lines.append("  bool mtl_idle = mtl_outside(mtl_t);")
      lines.append("  mtl_start();")
      lines.append("  if (mtl_idle) return;")
      lines += locals.map { "  " + $0 }
    } else {
      lines.append("extern \"C\" const unsigned mtl_argument_bytes[] = { \(bytes.joined(separator: ", ")) };")
      lines.append("extern \"C\" void mtl_entry(void *const *mtl_a, const mtl_thread *mtl_t) {")
    }
    return (lines + ["  " + call, "}"]).joined(separator: "\n")
  }

  /// Makes the compiler look into each kernel without starting any.
  static func references(_ kernels: [Kernel], _ writer: inout EmissionWriter) {
    writer.line("static inline void mtl_all() {")
    for kernel in kernels { writer.line("  (void)&\(kernel.expression);", at: kernel.place) }
    writer.line("}")
  }
}
