import CMetal
import XCTest

@testable import Metal

/// The lint that stands in for Apple's front end, and this project's shaders under it.
final class LintTests: XCTestCase {
  /// What the lint says; empty where a program is good.
  private func lint(_ source: String, name: String = "t.metal", headers: [String: String] = [:]) throws -> String {
    let emission: Emission
    do {
      let translation = try Translation(source: source, name: name, headers: headers)
      emission = try translation.emit(.lint, kernel: nil)
    } catch let failure as CompileFailure {
      return failure.log
    }
    let clang = try XCTUnwrap(ClangTool.find()).path
    let path = NSTemporaryDirectory() + "/metal-lint-\(UUID().uuidString).cl"
    defer { try? FileManager.default.removeItem(atPath: path) }
    try (String(cString: mtl_prelude_lint()) + "\n" + emission.text).write(toFile: path, atomically: false, encoding: .utf8)
    let result = try ChildProcess.run(clang, Lint.options + [path], log: path + ".log")
    return result.status == 0 ? "" : emission.translate(log: result.output)
  }

  func testShaders() throws {
    let folder = URL(fileURLWithPath: #filePath).appendingPathComponent("../../../../shaders").standardized
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
    func text(_ name: String) throws -> String {
      try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
    }
    var headers: [String: String] = [:]
    for name in names where name.hasSuffix(".h") { headers[name] = try text(name) }
    let shaders = names.filter { $0.hasSuffix(".metal") }
    XCTAssertFalse(shaders.isEmpty)
    for name in shaders {
      let log = try lint(try text(name), name: name, headers: headers)
      XCTAssertEqual(log, "", name)
    }
  }

  // Lines of a kernel's body; line 11 is the first.
  private func body(_ text: String) -> String {
    """
    #include <metal_stdlib>
    using namespace metal;
    struct P { uint n; float3 v; float get() { return v.x; } };
    constant float table[4] = {1, 2, 3, 4};
    float dev(device const float* p) { return p[0]; }
    float con(constant float* p) { return p[0]; }
    float tg(threadgroup float* p) { return p[0]; }
    void th(thread float& x) { x = 1; }
    kernel void k(device float* a, constant P& p, constant float* c, threadgroup float* s, device P* q, uint i [[thread_position_in_grid]]) {
      threadgroup float tile[2][4]; float x = 0; P l = p;
    \(text)
    }
    """
  }

  func testGoodProgramsPass() throws {
    // In one program, each in a block of its own: a compiler's start is most of the time.
    let blocks = [
      "a[i] = dev(a) + con(c) + con(table) + tg(s) + tg(tile[0]) + tg(&tile[1][2]); th(x);",
      "q[i] = p; q[i] = l; l = q[i]; l = p; q[0].v.xy = p.v.yx; x = l.get() + P{1, float3(1)}.get();",
      "device float4* v = (device float4*)a; v[0] = v[1].wzyx; v[0].xy += 1; float4 m = i > 1 ? v[0] : float4(0);",
      "auto f = [&](float y) { return y + x; }; a[0] = f(1);",
      "thread float* y = &x; *y = table[i] + select(x, 1.0f, i > 2); float b[4] = {0}; b[i] = 1; a[0] = b[1];",
      "const constant float* t = table; a[0] = t[1]; constant auto& z = p; a[1] = z.n;",
      "threadgroup_barrier(mem_flags::mem_threadgroup); a[0] = simd_sum(a[1]) + simd_shuffle_down(x, 1);",
      "a[0] = float(half(1.0h) * half(x)) + dot(p.v, q[0].v) + fast::exp(p.v.x);",
      "device atomic_uint* n = (device atomic_uint*)a; atomic_fetch_add_explicit(n, 1u, memory_order_relaxed);",
      "simdgroup_float8x8 m, n; simdgroup_load(m, a, 8); simdgroup_load(n, s, 8); simdgroup_multiply_accumulate(m, m, n, m);",
      "packed_float3 pk = p.v; device packed_float3* dp = (device packed_float3*)a; dp[1] = pk; float3 z = dp[0];",
      "bfloat b = bfloat(x); device bfloat* db = (device bfloat*)a; db[i] = b; a[0] = float(db[1]);",
      "uint2 local = uint2(i, 1); a[0] = local.x; vec<float, 2> w(x); a[1] = w.y; float3 n = normalize(p.v) * 2.0;",
    ]
    let good = body(blocks.map { "{ \($0) }" }.joined(separator: "\n"))
    XCTAssertEqual(try lint(good), "")
  }

  func testAddressSpacesAreKept() throws {
    let bad = [
      ("a[i] = dev(s);", 8), ("a[i] = dev(c);", 8), ("a[i] = tg(a);", 8), ("a[i] = con(a);", 8), ("a[i] = dev(&x);", 8),
      ("th(a[0]);", 1), ("c[0] = 1;", 6), ("p.n = 1;", 5), ("table[0] = 1;", 10), ("device float* d = c;", 15),
      ("device float* d = table;", 15), ("thread float* d = a;", 15), ("auto d = (thread float*)a;", 10),
      ("threadgroup float* d = a;", 20), ("constant float* d = a;", 17), ("device float* d = &x;", 15),
      ("auto d = reinterpret_cast<device float*>(s);", 10), ("q[0].get();", 1), ("undeclared = 1;", 1),
    ]
    // Clang tells all of them in one go.
    let log = try lint(body(bad.map { "{ \($0.0) }" }.joined(separator: "\n")))
    for (i, (text, column)) in bad.enumerated() {
      XCTAssertTrue(log.contains("t.metal:\(11 + i):\(column + 2): error: "), "\(text): \(log)")
    }
    XCTAssertTrue(log.contains("error: cannot initialize a variable of type 'device float *' with an lvalue of type 'constant float *'"), log)
  }

  func testUnnamedAddressSpaces() throws {
    let bad = [
      ("float* d = a;", 1), ("float* y = &x;", 1), ("float& r = x;", 1), ("auto d = (float*)a;", 11),
      ("const float* e = a;", 1), ("static const float z = 1;", 1),
    ]
    let log = try lint(body(bad.map { $0.0 }.joined(separator: "\n")))
    for (i, (text, column)) in bad.enumerated() {
      XCTAssertTrue(log.contains("t.metal:\(11 + i):\(column): error: a"), "\(text): \(log)")
    }
    func first(_ source: String) throws -> String { String(try lint(source).prefix { $0 != "\n" }) }
    let wanted = "needs its address space: write 'thread', 'device', 'constant' or 'threadgroup'"
    XCTAssertEqual(try first("void f(float* p) {}"), "t.metal:1:8: error: a pointer \(wanted)")
    XCTAssertEqual(try first("void f(int n, const float& p) {}"), "t.metal:1:15: error: a reference \(wanted)")
    XCTAssertEqual(try first("struct S { float* p; };"), "t.metal:1:12: error: a pointer \(wanted)")
    XCTAssertTrue(try first("struct S { static constexpr int n = 1; };").hasPrefix("t.metal:1:12: error: a static member must be"))
    XCTAssertTrue(try first("void f() { threadgroup float x[2]; }").hasPrefix("t.metal:1:12: error: threadgroup variables are"))
    XCTAssertTrue(
      try first("kernel void k(device int* a, uint2 i [[thread_position_in_grid]], uint j [[threads_per_grid]]) {}")
        .hasPrefix("t.metal:1:67: error: [[threads_per_grid]] must have as many components"))
  }

  func testFunctionConstantsAreNoConstantExpressions() throws {
    let log = try lint("constant int n [[function_constant(0)]];\nkernel void k(device float* a) {\n  a[0] = n;\n  float x[n];\n}")
    XCTAssertTrue(log.hasPrefix("t.metal:4:11: error: array size is not a constant expression"), log)
    XCTAssertEqual(log.ranges(of: "error:").count, 1, log)
  }
}
