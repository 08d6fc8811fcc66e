import XCTest

@testable import Metal

/// What becomes of Metal's words in C++.
final class TranslatorTests: XCTestCase {
  private let target = Target.emulator(checks: false)

  private func translation(_ source: String, headers: [String: String] = [:]) throws -> Translation {
    do {
      return try Translation(
        source: "#include <metal_stdlib>\nusing namespace metal;\n" + source, name: "t.metal", headers: headers)
    } catch let failure as CompileFailure {
      XCTFail(failure.log)
      throw failure
    }
  }

  /// The emitted text with single spaces.
  private func text(
    _ source: String, _ kernel: String? = nil, target: Target? = nil, constants: [Int: FunctionConstant] = [:],
    inline: Set<Int> = []
  ) throws -> String {
    let translation = try translation(source)
    let found = try kernel.map { name in try XCTUnwrap(translation.kernels.first { $0.name == name }) }
    let emission = try translation.emit(
      target ?? self.target, kernel: found, constants: constants, inlineArguments: inline)
    return emission.text.split { $0 == " " || $0 == "\n" }.joined(separator: " ")
  }

  private func assert(_ source: String, becomes wanted: String, line: UInt = #line) throws {
    let text = try text(source)
    XCTAssertTrue(text.contains(wanted), "\(wanted) is not in \(text)", line: line)
  }

  // MARK: address spaces

  func testPointersLoseTheirAddressSpace() throws {
    try assert("float f(const device float* p) { return *p; }", becomes: "float f(const float* p) { return *p; }")
    try assert("float f(threadgroup float* p) { return *p; }", becomes: "float f( float* p) {")
    try assert("void f(threadgroup float x[32]) {}", becomes: "void f( float x[32])")
    try assert("void f(thread float& x) { x = 1; }", becomes: "void f( float& x) {")
    try assert("void f(device float* p) { auto q = (device float4*)p; }", becomes: "auto q = ( float4*)p;")
    try assert(
      "void f(device float* p) { auto q = reinterpret_cast<const device float4*>(p); }",
      becomes: "reinterpret_cast<const float4*>(p)")
    try assert("struct S { float get() const device { return x; } float x; };", becomes: "float get() const { return x; }")
  }

  func testConstantIsConst() throws {
    try assert("float f(constant float* p) { return *p; }", becomes: "float f(const float* p)")
    try assert("float f(const constant float* p) { return *p; }", becomes: "float f(const float* p)")
    try assert("float f(constant const float& p) { return p; }", becomes: "float f( const float& p)")
    try assert("constant float a[2] = {1, 2};", becomes: "MTL_CONSTANT float a[2] = {1, 2};")
    try assert("static constant const int n = 2;", becomes: "MTL_CONSTANT int n = 2;")
    try assert("constant constexpr int n = 2;", becomes: "static constexpr int n = 2;")
    try assert("static constexpr constant float a[1] = {1};", becomes: "static constexpr float a[1] = {1};")
    try assert("struct S { static constant constexpr int n = 2; };", becomes: "static constexpr int n = 2;")
  }

  func testThreadgroupVariables() throws {
    func body(_ text: String) -> String { "kernel void k() { \(text) }" }
    try assert(body("threadgroup float x[4][33];"), becomes: "MTL_THREADGROUP float x[4][33];")
    try assert(body("threadgroup atomic_uint n;"), becomes: "MTL_THREADGROUP atomic_uint n;")
    try assert(body("threadgroup float a[2], b[3];"), becomes: "MTL_THREADGROUP float a[2], b[3];")
    try assert(body("threadgroup vec<float, 4> v[2];"), becomes: "MTL_THREADGROUP vec<float, 4> v[2];")
    try assert(body("alignas(16) threadgroup metal::float2 v;"), becomes: "alignas(16) MTL_THREADGROUP metal::float2 v;")
    try assert(body("threadgroup float x; threadgroup float* p = &x;"), becomes: "MTL_THREADGROUP float x; float* p = &x;")
    try assert(body("threadgroup float x; threadgroup float& r = x;"), becomes: "float& r = x;")
    try assert(body("threadgroup float a[2]; threadgroup float* p[2] = {a, a};"), becomes: "; float* p[2] = {a, a};")
    try assert(
      body("threadgroup float a[2]; auto f = [&](threadgroup float* p) { return p[0]; };"),
      becomes: "auto f = [&]( float* p) { return p[0]; };")
  }

  func testOverloadsOnAddressSpacesBecomeOne() throws {
    let text = try text(
      """
      float f(device const float* p) { return p[1]; }
      float f(threadgroup const float* p) { return p[1]; }
      struct S {
        float x;
        float get() const thread { return x; }
        float get() const device { return x; }
        S(float y) thread : x(y) {}
        S(float y) constant : x(y) {}
      };
      template <typename T> struct E {};
      template <typename T> struct E<device T*> { using type = T; };
      template <typename T> struct E<threadgroup T*> { using type = T; };
      """)
    for once in ["float f( const float* p)", "float get() const {", "S(float y) : x(y) {}", "struct E< T*>"] {
      XCTAssertEqual(text.ranges(of: once).count, 1, "\(once) in \(text)")
    }
  }

  // MARK: expressions

  func testSwizzles() throws {
    func body(_ text: String) -> String { "void f(float4 v, float4 w) { \(text) }" }
    try assert(body("v = w.wzyx;"), becomes: "v = w.template mtl_get<3,2,1,0>();")
    try assert(body("v.xy = w.zw;"), becomes: "v.template mtl_ref<0,1>() = w.template mtl_get<2,3>();")
    try assert(body("v.rgb += 1;"), becomes: "v.template mtl_ref<0,1,2>() += 1;")
    try assert(body("v.xyz.zy *= 2;"), becomes: "v.template mtl_ref<2,1>() *= 2;")
    try assert(body("(v.xy) = w.xy;"), becomes: "(v.template mtl_ref<0,1>()) = w")
    try assert(body("if (any(v.xy == w.xy)) v = 1;"), becomes: "any(v.template mtl_get<0,1>() == w.template mtl_get<0,1>())")
    try assert(body("++v.xy; float y = -v.zw[0];"), becomes: "++v.template mtl_ref<0,1>(); float y = -v.template mtl_get<2,3>()[0];")
    try assert(body("float x = v.xyz.z;"), becomes: "v.template mtl_get<0,1,2>().z;")
    try assert(body("v.a = v.r;"), becomes: "v.w = v.x;")
    try assert(body("v.x = v.y;"), becomes: "v.x = v.y;")
    try assert(body("thread float4* p = &v; p->xy = v.xx;"), becomes: "p->template mtl_ref<0,1>() = v.template mtl_get<0,0>();")
    try assert("struct C { float xy; float r; };\nfloat f(C c) { return c.xy + c.r; }", becomes: "return c.xy + c.r;")
    try assert("struct C { float x; };\nC f() { return C{.x = 1.0}; }", becomes: "C{.x = 1.0f}")
  }

  func testLiterals() throws {
    try assert("float f() { return 1.0 + 2.5f + .5 + 1e3 + 0x1p-3; }", becomes: "1.0f + 2.5f + .5f + 1e3f + 0x1p-3f")
    try assert("half f() { return 1.5h + 2h; }", becomes: "half(1.5f) + half(2.0f)")
    try assert("bfloat f() { return 1.5bf; }", becomes: "bfloat(1.5f)")
    try assert("int f() { return 0x1f + 0xbf + 0xeh; }".replacing(" + 0xeh", with: ""), becomes: "0x1f + 0xbf")
    try assert("uint f() { return 1u + 0b101 + 1'000; }", becomes: "1u + 0b101 + 1'000")
  }

  func testNames() throws {
    try assert("int f() { return ::metal::abs(1); }", becomes: "return ::metal::abs(1);")
    try assert("int g() { return 1; }\nint f() { return ::g(); }", becomes: "return mtl_user::g();")
    try assert("int f() { return vec<int, 2>::x; }", becomes: "vec<int, 2>::x")
    try assert("int mtl_x(int requires) { return requires; }", becomes: "int user_mtl_x(int user_requires)")
    try assert("simd::float4 f(simd_float2 v, matrix_float4x4 m);", becomes: "metal::float4 f(metal::float2 v, metal::float4x4 m);")
    // Metal's own overloads stay in sight.
    try assert("uint4 simd_sum(uint4 v) { return v; }", becomes: "using metal::simd_sum;")
    try assert("namespace metal { int mine(); }", becomes: "} namespace metal { using namespace mtl_user; int mine(); } namespace mtl_user {")
  }

  func testUnroll() throws {
    let source = "#define N 4\nvoid f() {\n#pragma unroll\nfor (;;) {}\n#pragma unroll(N)\nfor (;;) {}\n_Pragma(\"nounroll\") ;\n#pragma clang loop unroll(full)\nfor (;;) {}\n}\n#pragma mark x"
    try assert(source, becomes: "#pragma unroll for (;;) {} #pragma unroll(4) for (;;) {} #pragma nounroll ;")
    XCTAssertTrue(try text(source, target: .cuda).contains("#pragma unroll (4) for (;;) {} #pragma unroll 1 ;"))
    XCTAssertFalse(try text(source).contains("mark"))
    let off = try translation("#pragma METAL fp contract(off)\nvoid f();")
    XCTAssertFalse(try off.emit(.cuda, kernel: nil).allowsContraction)
    XCTAssertTrue(try translation("void f();").emit(.cuda, kernel: nil).allowsContraction)
  }

  // MARK: kernels

  func testParameters() throws {
    let source = """
      struct P { uint n; };
      kernel void k(device const float* a [[buffer(2)]], device float* b, constant P& p, device atomic_uint& n [[buffer(0)]],
                    threadgroup float* s [[threadgroup(1)]], threadgroup float* t,
                    uint2 g [[thread_position_in_grid]], ushort l [[thread_index_in_simdgroup]]) {}
      """
    let kernel = try XCTUnwrap(try translation(source).kernels.first)
    XCTAssertEqual(kernel.name, "k")
    XCTAssertEqual(kernel.location, SourceLocation(file: "t.metal", line: 4, column: 13))
    XCTAssertEqual(kernel.parameters.map(\.name), ["a", "b", "p", "n", "s", "t", "g", "l"])
    XCTAssertEqual(
      kernel.parameters.map(\.kind),
      [
        .buffer(index: 2, isReference: false, isConstant: false, isWritable: false),
        .buffer(index: 1, isReference: false, isConstant: false, isWritable: true),
        .buffer(index: 3, isReference: true, isConstant: true, isWritable: false),
        .buffer(index: 0, isReference: true, isConstant: false, isWritable: true),
        .threadgroup(index: 1), .threadgroup(index: 0),
        .builtin("thread_position_in_grid"), .builtin("thread_index_in_simdgroup"),
      ])
  }

  func testEntries() throws {
    let source = """
      kernel void other(device float* x) {}
      [[kernel]] [[max_total_threads_per_threadgroup(256)]] void k(device float* a, constant float& s, device uint& n,
        threadgroup float* t, uint i [[thread_position_in_grid]]) { a[i] = s; }
      """
    let emulator = try text(source, "k")
    XCTAssertTrue(emulator.contains("static void mtl_kernel_k( float* a, const float& s, uint& n, float* t, uint i ) {"), emulator)
    XCTAssertTrue(emulator.contains("extern \"C\" void mtl_entry(void *const *mtl_a, const mtl_thread *mtl_t) {"))
    XCTAssertTrue(
      emulator.contains(
        "mtl_argument<mtl_parameter<mtl_f, 3>>(mtl_a[3]), mtl_builtin<mtl_parameter<mtl_f, 4>>(mtl_thread_position_in_grid(mtl_t)));"))
    XCTAssertFalse(emulator.contains("other"))
    let cuda = try text(source, "k", target: .cuda, inline: [1, 2])
    XCTAssertTrue(cuda.contains("__launch_bounds__(256"))
    XCTAssertTrue(
      cuda.contains(
        "mtl_entry(mtl_parameter<mtl_f, 0> a0, const __grid_constant__ mtl_value<mtl_parameter<mtl_f, 1>> a1, "
          + "const __grid_constant__ mtl_value<mtl_parameter<mtl_f, 2>> a2, unsigned a3, const __grid_constant__ mtl_grid mtl_t) { "
          + "bool mtl_idle = mtl_outside(mtl_t); mtl_start(); if (mtl_idle) return; mtl_value<mtl_parameter<mtl_f, 2>> b2 = a2; "
          + "mtl_kernel_k(a0, a1, b2, mtl_dynamic<mtl_parameter<mtl_f, 3>>(a3), "), cuda)
    XCTAssertTrue(try text(source, "k", target: .cuda).contains("mtl_value<mtl_parameter<mtl_f, 1>> *a1"))
    let all = try text(source)
    XCTAssertTrue(all.contains("(void)&mtl_kernel_other; (void)&mtl_kernel_k;"))
  }

  func testInstantiations() throws {
    let source = """
      template <typename T, int N = 4>
      [[kernel, max_total_threads_per_threadgroup(N * 32)]] void f(device T* x [[buffer(0)]], uint i [[thread_position_in_grid]]) { x[i] = N; }
      #define instantiate_kernel(name, func, ...) template [[host_name(name)]] [[kernel]] decltype(func<__VA_ARGS__>) func<__VA_ARGS__>;
      instantiate_kernel("f_" "half", f, half, 8)
      template [[host_name("f_float")]] kernel void f<float>(device float* x [[buffer(0)]], uint i [[thread_position_in_grid]]);
      typedef decltype(f<int, 2>) f_t;
      template [[host_name("f_int")]] kernel f_t f<int, 2>;
      template [[host_name("f_v")]] kernel void f<vec<float, 2>, (1 > 0 ? 3 : 4)>(device vec<float, 2>*, uint);
      template <typename T> kernel void g(const device T* x, constant vec<T, 2>& y) {}
      template [[host_name("g_uint")]] kernel void g(const device uint* x, constant vec<uint, 2>& y);
      template <typename T> struct S {};
      template struct S<int>;
      """
    let translation = try translation(source)
    XCTAssertEqual(translation.kernels.map(\.name), ["f_half", "f_float", "f_int", "f_v", "g_uint"])
    XCTAssertEqual(
      translation.kernels.map(\.expression),
      ["mtl_kernel_f<half, 8>", "mtl_kernel_f<float>", "mtl_kernel_f<int, 2>", "mtl_kernel_f<vec<float, 2>, (1 > 0 ? 3 : 4)>", "mtl_kernel_g<uint>"])
    XCTAssertEqual(translation.kernels.map(\.maxTotalThreads), [256, 128, 64, 96, nil])
    XCTAssertEqual(translation.kernels[0].location.line, 6)
    let text = try text(source, "f_int")
    XCTAssertTrue(text.contains("template struct S<int>;"))
    XCTAssertFalse(text.contains("host_name") || text.contains("f_t") || text.contains("decltype(f"))
  }

  func testOverloadedTemplates() throws {
    let kernels = try translation(
      """
      template <typename T, int N> [[kernel, max_total_threads_per_threadgroup(N)]] void f(device T* x) {}
      template <typename T, typename U, int N> [[kernel, max_total_threads_per_threadgroup(N)]] void f(device T* x, device U* y) {}
      template [[host_name("a")]] kernel void f<float, 32>(device float*);
      template [[host_name("b")]] kernel void f<float, int, 64>(device float*, device int*);
      """
    ).kernels
    XCTAssertEqual(kernels.map(\.maxTotalThreads), [32, 64])
    XCTAssertEqual(kernels.map(\.parameters.count), [1, 2])
  }

  func testHostNamesAndNamespaces() throws {
    let kernels = try translation(
      """
      namespace a { namespace b { kernel void k() {} } }
      [[host_name("shown")]] kernel void hidden() {}
      """
    ).kernels
    XCTAssertEqual(kernels.map(\.name), ["a::b::k", "shown"])
    XCTAssertEqual(kernels.map(\.expression), ["a::b::mtl_kernel_k", "mtl_kernel_hidden"])
  }

  // MARK: function constants

  private let constants = """
    constant bool flag [[function_constant(0)]];
    constant int bits [[function_constant(1)]];
    constant float3 scale [[function_constant(2)]];
    constant int width = is_function_constant_defined(bits) ? bits : 8;
    int helper() { return width; }
    kernel void k(device float* a, device float* b [[buffer(1), function_constant(flag)]]) { a[0] = helper(); }
    kernel void l(device float* a) { a[0] = scale.y; }
    kernel void m(device float* a) { a[0] = 1; }
    """

  func testFunctionConstants() throws {
    let kernels = try translation(constants).kernels
    XCTAssertEqual(
      kernels[0].constants,
      [
        ConstantUse(index: 0, name: "flag", type: "bool", isRequired: true),
        ConstantUse(index: 1, name: "bits", type: "int", isRequired: false),
      ])
    XCTAssertEqual(kernels[0].parameters[1].condition, 0)
    XCTAssertEqual(kernels[1].constants.map(\.index), [2])
    XCTAssertEqual(kernels[2].constants, [])
    let text = try text(constants, "k", constants: [0: .bool(false), 1: .int(-3)])
    XCTAssertTrue(text.contains("static constexpr bool flag = bool(false) ;"), text)
    XCTAssertTrue(text.contains("static constexpr int bits = int(-3L) ;"), text)
    XCTAssertTrue(text.contains("MTL_CONSTANT int width = true ? bits : 8;"), text)
    let vector = FunctionConstant.vector([.float(1), .float(.infinity), .float(0.1)])
    XCTAssertTrue(
      try self.text(constants, "l", constants: [2: vector])
        .contains("float3(float(1.0f), float(::metal::numeric_limits<float>::infinity()), float(0.1f))"))
  }

  func testUnsetFunctionConstant() throws {
    let translation = try translation(constants)
    XCTAssertThrowsError(try translation.emit(target, kernel: translation.kernels[0])) { error in
      XCTAssertTrue(
        (error as? CompileFailure)?.log.hasPrefix(
          "t.metal:3:15: error: function constant 'flag' (index 0) has no value, and kernel 'k' needs it\n") == true, "\(error)")
    }
    XCTAssertNoThrow(try translation.emit(target, kernel: translation.kernels[2]))
    XCTAssertNoThrow(try translation.emit(target, kernel: nil))
  }

  // MARK: logs

  func testLocations() throws {
    let translation = try translation("#define SUM(x) (x + missing)\nkernel void k(device float* a) {\n  a[0] = SUM(other);\n}\n")
    let emission = try translation.emit(target, kernel: nil)
    let lines = emission.text.split(separator: "\n", omittingEmptySubsequences: false)
    let line = try XCTUnwrap(lines.firstIndex { $0.contains("missing") })
    let column = try XCTUnwrap(lines[line].ranges(of: "other").first.map { lines[line].distance(from: lines[line].startIndex, to: $0.lowerBound) })
    // The first line of the text only sets the number of the next.
    XCTAssertEqual(emission.locate(line: line, column: column + 1), SourceLocation(file: "t.metal", line: 5, column: 14))
    XCTAssertEqual(emission.locate(line: line, column: column + 9), SourceLocation(file: "t.metal", line: 5, column: 10))
    XCTAssertNil(emission.locate(line: 100_000, column: 1))
    XCTAssertNil(emission.locate(line: 0, column: nil))

    let clang = """
      mtl_program:\(line):\(column + 1): error: use of undeclared identifier 'mtl_kernel_x'
         12 | whatever
            |    ^
      prelude.h:7:3: error: static assertion failed
      prelude.h:8:3: note: about the prelude
      mtl_program:\(line):\(column + 9): note: in instantiation
      1 error generated.
      """
    XCTAssertEqual(
      emission.translate(log: clang),
      "t.metal:5:14: error: use of undeclared identifier 'x'\n  a[0] = SUM(other);\n             ^\n"
        + "t.metal:5:10: error: static assertion failed\n  a[0] = SUM(other);\n         ^\n")
    let indent = lines[line].prefix { $0 == " " }.count
    let nvrtc = """
      mtl_program(\(line)): error: identifier "missing" is undefined
          \(lines[line].dropFirst(indent))
          \(String(repeating: " ", count: column - indent))^

      x.cu(592): error: static assertion failed with "no"
            static_assert(false);
            ^
                detected during instantiation of "f" at line \(line) of mtl_program
      """
    XCTAssertEqual(
      emission.translate(log: nvrtc).split(separator: "\n").filter { $0.contains("error") },
      ["t.metal:5:14: error: identifier \"missing\" is undefined", "t.metal:5:3: error: static assertion failed with \"no\""])
    XCTAssertEqual(emission.translate(log: "ld: out of disk"), "ld: out of disk")
  }

  func testLocationsInHeaders() throws {
    let translation = try translation("#include \"a/x.h\"\nvoid g();", headers: ["a/x.h": "#include \"y.h\"\n", "a/y.h": "\n  void f();\n"])
    let emission = try translation.emit(target, kernel: nil)
    let lines = emission.text.split(separator: "\n", omittingEmptySubsequences: false)
    let line = try XCTUnwrap(lines.firstIndex { $0.contains("void f") })
    XCTAssertEqual(emission.locate(line: line, column: nil), SourceLocation(file: "a/y.h", line: 2, column: 3))
  }
}
