/// What Apple's front end refuses, where it shows in the tokens.
enum Dialect {
  private static let words: [String: String] = [
    "double": "Metal has no double: use float", "goto": "Metal has no goto", "virtual": "Metal has no virtual functions",
    "new": "Metal has no dynamic memory: use arrays of fixed size", "throw": "Metal has no exceptions",
    "try": "Metal has no exceptions", "catch": "Metal has no exceptions", "dynamic_cast": "Metal has no dynamic_cast",
    "typeid": "Metal has no typeid", "thread_local": "Metal has no thread_local: variables of a function are each thread's own",
    "vertex": "only compute kernels are supported, not vertex functions",
    "fragment": "only compute kernels are supported, not fragment functions",
    "threadgroup_imageblock": "imageblocks are not supported", "ray_data": "ray tracing is not supported",
    "object_data": "mesh shaders are not supported", "asm": "Metal has no inline assembly",
    "__asm__": "Metal has no inline assembly",
    "__global__": "this is CUDA: in Metal write 'kernel void name(device T* x [[buffer(0)]], …)'",
    "__device__": "this is CUDA: a Metal function needs no mark",
    "__shared__": "this is CUDA: in Metal write 'threadgroup T x[n];' in the kernel's body",
    "__constant__": "this is CUDA: in Metal write 'constant'",
    "__syncthreads": "this is CUDA: in Metal write 'threadgroup_barrier(mem_flags::mem_threadgroup)'",
    "__syncwarp": "this is CUDA: in Metal write 'simdgroup_barrier(mem_flags::mem_threadgroup)'",
    "__launch_bounds__": "this is CUDA: in Metal write [[max_total_threads_per_threadgroup(n)]]",
    "threadIdx": "this is CUDA: in Metal take 'uint3 tid [[thread_position_in_threadgroup]]' as a parameter",
    "blockIdx": "this is CUDA: in Metal take 'uint3 group [[threadgroup_position_in_grid]]' as a parameter",
    "blockDim": "this is CUDA: in Metal take 'uint3 size [[threads_per_threadgroup]]' as a parameter",
    "gridDim": "this is CUDA: in Metal take 'uint3 groups [[threadgroups_per_grid]]' as a parameter",
  ]

  /// Refused where they are types: a variable may have the name.
  private static let types: [String: String] = {
    var all: [String: String] = [:]
    for name in [
      "texture1d", "texture1d_array", "texture2d", "texture2d_array", "texture2d_ms", "texture3d", "texturecube",
      "texturecube_array", "texture_buffer", "depth2d", "depth2d_array", "depthcube", "sampler",
    ] { all[name] = "textures and samplers are not supported: use buffers" }
    for name in ["imageblock", "visible_function_table", "intersection_function_table", "intersector",
      "acceleration_structure", "primitive_acceleration_structure", "instance_acceleration_structure", "command_buffer",
      "render_pipeline_state", "compute_pipeline_state", "tensor", "cooperative_tensor", "indirect_command_buffer"]
    { all[name] = "\(name) is not supported" }
    return all
  }()

  /// Functions of CUDA and C that a target's compiler might know.
  private static let calls: [String: String] = {
    var all: [String: String] = [:]
    for name in ["printf", "malloc", "free", "memcpy", "memset", "assert", "clock", "clock64"] {
      all[name] = "Metal has no \(name)"
    }
    for name in [
      "atomicAdd", "atomicSub", "atomicMax", "atomicMin", "atomicExch", "atomicCAS", "atomicAnd", "atomicOr", "__ldg",
      "__shfl_sync", "__shfl_down_sync", "__shfl_up_sync", "__shfl_xor_sync", "__ballot_sync", "__any_sync",
      "__all_sync", "__activemask", "__threadfence", "__popc", "__clz", "__ffs", "__expf", "__fdividef",
    ] { all[name] = "this is CUDA: Metal's atomics are atomic_fetch_add_explicit and so on, its warp operations simd_sum, simd_shuffle and so on" }
    return all
  }()

  static func checkWords(_ tokens: [Token]) throws {
    var faults: [Fault] = []
    for (i, token) in tokens.enumerated() where token.isIdentifier {
      let next = i + 1 < tokens.count ? tokens[i + 1] : nil
      let before = i > 0 ? tokens[i - 1] : nil
      let isMember = before.map { $0.is(".") || $0.is("->") } ?? false
      if isMember { continue }
      if let message = words[token.text] {
        faults.append(Fault(token.place, message))
      } else if token.is("delete"), before?.is("=") != true {
        faults.append(Fault(token.place, "Metal has no dynamic memory: use arrays of fixed size"))
      } else if token.is("std"), next?.is("::") == true {
        faults.append(Fault(token.place, "Metal has no std: use namespace metal"))
      } else if let message = types[token.text], let next, next.is("<") || next.isIdentifier || next.is("::") {
        faults.append(Fault(token.place, message))
      } else if let message = calls[token.text], next?.is("(") == true, before?.is("::") != true,
        !(before?.isIdentifier == true && !["return", "else", "do"].contains(before!.text))
      {
        // A name before it makes it the declaration of a function of the source's own.
        faults.append(Fault(token.place, message))
      } else if let message = vectors[token.text] {
        faults.append(Fault(token.place, message))
      }
    }
    if !faults.isEmpty { throw Faults(all: faults) }
  }

  private static let vectors: [String: String] = {
    var all: [String: String] = [:]
    for size in 2...4 { all["double\(size)"] = "Metal has no double: use float\(size)" }
    return all
  }()

  static func check(_ program: Program, _ kernels: Set<Int>) throws {
    var faults: [Fault] = []
    for declaration in program.declarations {
      let front = declaration.head..<max(declaration.head, declaration.nameAt)
      if declaration.kind == .function, let word = front.first(where: { program.tokens[$0].is("extern") }) {
        faults.append(Fault(program.tokens[word].place, "'extern' functions are not supported"))
      }
      if declaration.kind == .function, let body = declaration.body { checkStatics(program, body, &faults) }
    }
    faults += CallGraph(program).recursions()
    if !faults.isEmpty { throw Faults(all: faults.sorted { ($0.place.file, $0.place.line) < ($1.place.file, $1.place.line) }) }
  }

  /// A function's static variables would be shared by all threads.
  private static func checkStatics(_ program: Program, _ body: Range<Int>, _ faults: inout [Fault]) {
    for i in body where program.tokens[i].is("static") {
      var end = i
      while end < body.upperBound, !program.is(end, ";"), !program.is(end, "="), !program.is(end, "{"), !program.is(end, "(") {
        end += 1
      }
      let specifiers = program.tokens[i..<end]
      if !specifiers.contains(where: { $0.is("constant") || $0.is("constexpr") || $0.is("const") }), !program.is(end, "(") {
        faults.append(Fault(program.tokens[i].place, "a static variable must be in the constant address space"))
      }
    }
  }
}
