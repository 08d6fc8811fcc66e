import XCTest

@testable import Metal

/// Everything that is refused, with its place.
final class TranslatorErrorTests: XCTestCase {
  private func assert(_ source: String, _ wanted: String, line: UInt = #line) {
    XCTAssertThrowsError(try Translation(source: source, name: "t.metal"), line: line) { error in
      let log = (error as? CompileFailure)?.log ?? "\(error)"
      XCTAssertTrue(log.hasPrefix("t.metal:" + wanted), log, line: line)
    }
  }
  private func assertBody(_ body: String, _ wanted: String, line: UInt = #line) {
    assert("kernel void k(device float* a) {\n  \(body)\n}", wanted, line: line)
  }
  private func assertKernel(_ parameters: String, _ wanted: String, line: UInt = #line) {
    assert("kernel void k(\(parameters)) {}", "1:" + wanted, line: line)
  }

  func testDialect() {
    assertBody("double x;", "2:3: error: Metal has no double: use float")
    assertBody("float2 y = double2(1);", "2:14: error: Metal has no double: use float2")
    assertBody("float x = 1.0L;", "2:13: error: Metal has no long double: write '1.0f'")
    assertBody("end: goto end;", "2:8: error: Metal has no goto")
    assertBody("auto p = new int;", "2:12: error: Metal has no dynamic memory")
    assertBody("delete a;", "2:3: error: Metal has no dynamic memory")
    assertBody("throw 1;", "2:3: error: Metal has no exceptions")
    assertBody("try {} catch (...) {}", "2:3: error: Metal has no exceptions")
    assertBody("auto p = dynamic_cast<int*>(a);", "2:12: error: Metal has no dynamic_cast")
    assertBody("asm(\"nop\");", "2:3: error: Metal has no inline assembly")
    assertBody("static int n = 0;", "2:3: error: a static variable must be in the constant address space")
    assertBody("texture2d<float> t;", "2:3: error: textures and samplers are not supported")
    assertBody("printf(\"x\");", "2:3: error: Metal has no printf")
    assertBody("std::swap(a, a);", "2:3: error: Metal has no std")
    assertBody("float4 v; v.xy[0] = 1;", "2:15: error: an element of a swizzle cannot be assigned to")
    assertBody("[[unknown]] int x;", "2:5: error: unknown attribute [[unknown]]")
    assert("struct S { virtual void f(); };", "1:12: error: Metal has no virtual functions")
    assert("float x = 1;", "1:1: error: a variable outside functions must be in the constant address space")
    assert("constexpr int n = 1;", "1:1: error: a variable outside functions must be in the constant address space")
    assert("constant float* p;", "1:1: error: a variable outside functions cannot be a pointer")
    assert("extern int f();", "1:1: error: 'extern' functions are not supported")
    assert("vertex float4 f() { return 0; }", "1:1: error: only compute kernels are supported")
  }

  func testOtherLanguages() {
    assert("#include <cmath>", "1:2: error: Metal has no C++ standard library, so there is no <cmath>")
    assert("#include <vector>", "1:2: error: Metal has no C++ standard library, so there is no <vector>")
    assert("#include <cuda_fp16.h>", "1:2: error: <cuda_fp16.h> is not Metal")
    assert("#include \"mine.h\"", "1:2: error: header \"mine.h\" not found: none is given")
    assert("__global__ void k(float* x) {}", "1:1: error: this is CUDA: in Metal write 'kernel void name(")
    assertBody("int i = threadIdx.x;", "2:11: error: this is CUDA: in Metal take 'uint3 tid [[thread_position_in_threadgroup]]'")
    assertBody("__syncthreads();", "2:3: error: this is CUDA: in Metal write 'threadgroup_barrier(")
    assertBody("atomicAdd(a, 1);", "2:3: error: this is CUDA: Metal's atomics are")
    XCTAssertNoThrow(try Translation(source: "float clock(float x) { return x; }\nfloat free; "
      .replacing("float free; ", with: "") + "struct S { float printf; };"))
  }

  func testKernels() {
    assert("kernel int k() { return 1; }", "1:12: error: kernel 'k' must return void")
    assertKernel("float* a", "15: error: parameter 'a' is a pointer or reference without an address space")
    assertKernel("thread float& a", "15: error: parameter 'a' is a pointer or reference without an address space")
    assertKernel("float a", "15: error: parameter 'a' is passed by value: a kernel takes values as 'constant float& a [[buffer(n)]]'")
    assertKernel("uint3 grid_size", "15: error: parameter 'grid_size' needs its attribute: write 'uint3 grid_size [[grid_size]]'")
    assertKernel("device float** a", "15: error: parameter 'a' is a pointer to a pointer")
    assertKernel("device constant float* a", "22: error: parameter 'a' has two address spaces")
    assertKernel("device float* a [[buffer(31)]]", "33: error: buffer index 31 is not within 0 … 30")
    assertKernel("device int* a [[buffer(1)]], device int* b [[buffer(1)]]", "60: error: buffer index 1 is used twice")
    assertKernel("threadgroup int* a [[threadgroup(31)]]", "36: error: threadgroup index 31 is not within 0 … 30")
    assertKernel("threadgroup int* a [[buffer(0)]]", "36: error: parameter 'a' is threadgroup memory: write [[threadgroup(n)]]")
    assertKernel("device int* a [[threadgroup(0)]]", "31: error: parameter 'a' is a buffer: write [[buffer(n)]]")
    assertKernel("device int* a [[foo]]", "31: error: unknown attribute [[foo]]")
    assertKernel("float4 p [[stage_in]]", "26: error: [[stage_in]] is not supported")
    assertKernel("int i [[thread_position_in_grid]]", "15: error: parameter 'i' with [[thread_position_in_grid]] must be uint")
    assertKernel("uint3 i [[thread_index_in_simdgroup]]", "15: error: parameter 'i' with [[thread_index_in_simdgroup]] must be uint or ushort, not uint3")
    assertKernel("sampler s [[sampler(0)]]", "15: error: textures and samplers are not supported")
    assertKernel((0...31).map { "device int* a\($0)" }.joined(separator: ", "), "")
    assert("kernel void k() {}\nkernel void k() {}", "2:13: error: two kernels are called 'k' (the other at line 1)")
    assert("struct S { kernel void k() {} };", "1:24: error: a kernel cannot be a struct's member")
    assert("[[kernel, max_total_threads_per_threadgroup(2048)]] void k() {}", "1:44: error: max_total_threads_per_threadgroup(2048)")
    assert("template <typename T> kernel void k(device T* a) {}\ntemplate <> kernel void k<int>(device int* a) {}", "2:25: error: kernels cannot be specialized")
    assert("template [[host_name(\"x\")]] kernel void f<int>();", "1:1: error: an explicit instantiation must name a kernel template")
    assert("template <int N> kernel void f() {}\ntemplate [[host_name(\"x\")]] kernel void f<1, 2>();", "2:41: error: no template of kernel 'f' takes these arguments")
    assert("template <int N> kernel void f() {}\ntemplate [[host_name(x)]] kernel void f<1>();", "2:12: error: [[host_name]] needs a string")
  }

  func testThreadgroupMemory() {
    assert("threadgroup float x[4];", "1:1: error: threadgroup variables are declared in a kernel's body")
    assert("struct S { threadgroup float x; };", "1:12: error: a struct's member cannot be threadgroup memory")
    assert("void f(threadgroup float x) {}", "1:8: error: a parameter cannot be threadgroup memory by value")
    assertBody("threadgroup float x = 1;", "2:23: error: threadgroup memory cannot be initialized")
    assertBody("threadgroup float x[2] = {1, 2};", "2:26: error: threadgroup memory cannot be initialized")
    assertBody("threadgroup float x[2], *p;", "2:27: error: declare threadgroup memory and pointers to it in two statements")
    assertBody("threadgroup float* threadgroup p;", "2:22: error: a pointer cannot itself be threadgroup memory")
    assert(
      "float f(device float* p) { return *p; }\nfloat f(threadgroup float* p) { return p[1]; }",
      "2:1: error: 'f' differs from the one of line 1 in address spaces alone")
  }

  func testFunctionConstants() {
    assert(
      "constant int a [[function_constant(0)]];\nconstant int b [[function_constant(0)]];",
      "2:14: error: function constants 'a' and 'b' both have index 0")
    assert("constant int a [[function_constant(0)]] = 1;", "1:18: error: a function constant is declared alone and without a value")
    assert("constant int a [[function_constant(x)]];", "1:36: error: unexpected 'x' in a constant expression")
    assert("int a [[function_constant(0)]];", "1:9: error: a function constant needs the address space")
  }

  func testRecursion() {
    assert("int f(int x) { return x ? f(x - 1) : 0; }", "1:27: error: Metal has no recursion: 'f' calls itself")
    assert(
      "int g(int);\nint f(int x) { return g(x); }\nint g(int x) { return f(x); }",
      "3:23: error: Metal has no recursion: 'f' is called again by 'g'")
    // Overloads of Metal's own and templates may.
    XCTAssertNoThrow(try Translation(source: "float2 simd_sum(float2 v) { return float2(simd_sum(v.x), simd_sum(v.y)); }"))
    XCTAssertNoThrow(try Translation(source: "template <int N> int f() { return f<N - 1>(); }"))
    XCTAssertNoThrow(try Translation(source: "struct S { int f() { return 0; } };\nint f(S s) { return s.f(); }"))
  }

  func testSyntax() {
    assert("int f( {}", "1:6: error: unmatched '('")
    assert("int f() {", "1:9: error: unmatched '{'")
    assert("int f() { return (1]; }", "1:20: error: expected ')' for the '(' of line 1")
    assert("int a", "1:1: error: the declaration has no ';'")
    assert("kernel void k()", "1:15: error: the function has no body and no ';'")
    assert("#error some words", "1:2: error: #error some words")
    assert("#if 1", "1:1: error: #if without #endif")
    assert("#else", "1:1: error: #else without #if")
    assert("#if 1\n#else\n#else\n#endif", "3:1: error: #else after #else")
    assert("#if 1/0\n#endif", "1:6: error: division by zero")
    assert("#foo", "1:2: error: unknown directive #foo")
    assert("#define F(a) a\nF(1, 2)", "2:1: error: macro 'F' takes 1 arguments, not 2")
  }

  func testSeveralErrorsAreTold() throws {
    XCTAssertThrowsError(try Translation(source: "void f() {\n  double x;\n  goto a;\n}", name: "t.metal")) { error in
      XCTAssertEqual(
        (error as? CompileFailure)?.log,
        "t.metal:2:3: error: Metal has no double: use float\n  double x;\n  ^\nt.metal:3:3: error: Metal has no goto\n  goto a;\n  ^\n")
    }
  }
}
