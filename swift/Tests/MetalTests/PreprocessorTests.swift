import XCTest

@testable import Metal

final class PreprocessorTests: XCTestCase {
  private func run(_ source: String, headers: [String: String] = [:], macros: [String: String] = [:]) throws -> String {
    var preprocessor = try Preprocessor(headers: headers, macros: macros)
    do { try preprocessor.run(source, name: "t.metal") } catch let fault as Fault {
      throw preprocessor.files.failure([fault])
    }
    return preprocessor.output.spelled
  }

  private func assert(_ source: String, _ wanted: String, line: UInt = #line) throws {
    XCTAssertEqual(try run(source), wanted, line: line)
  }

  func testMacros() throws {
    try assert("#define N 4\nN", "4")
    try assert("#define N 4\n#undef N\nN", "N")
    try assert("#define A B\n#define B A\nA B", "A B")
    try assert("#define f(x) x f\nf(1)(2) f", "1 f(2) f")
    try assert("#define ADD(a, b) a + b\nADD((1, 2), ADD(3, 4))", "(1, 2) + 3 + 4")
    try assert("#define ADD(a, \\\n b) a + b\nADD(1,\n 2)", "1 + 2")
    try assert("#define z z[0]\n#define f(a) f(z + (a))\nf(f(1))", "f(z[0] + (f(z[0] + (1))))")
    try assert("#define EMPTY()\n[EMPTY()]", "[]")
  }

  func testOperators() throws {
    try assert("#define CAT(a, b) a##b\n#define X CAT\nCAT(x, 1) X(a, b) CAT(, c) CAT(d, ) [CAT(,)]", "x1 ab c d []")
    try assert("#define S(x) #x\n#define T(x) S(x)\n#define N 4\nS(N) T(N) S( a  \"b\\n\" 'c' )", "\"N\" \"4\" \"a \\\"b\\\\n\\\" 'c'\"")
    try assert("#define LOG(f, ...) p(f, ##__VA_ARGS__)\nLOG(1) LOG(1, 2, 3)", "p(1) p(1, 2, 3)")
    try assert("#define F(a, ...) g(a __VA_OPT__(, [__VA_ARGS__]))\nF(1) F(1, 2, 3)", "g(1) g(1, [2, 3])")
    try assert("#define K(name, ...) k(#name, __VA_ARGS__)\nK(f, 1, 2)", "k(\"f\", 1, 2)")
  }

  func testConditions() throws {
    try assert("#if defined(A) || defined B\n1\n#elif 1 + 1 == 2 && !0\n2\n#else\n3\n#endif", "2")
    try assert("#if 0\ndon't \"\n#if 1\n#error no\n#endif\n#else\n1\n#endif", "1")
    try assert("#if (1 ? 2 : 1/0) == 2 && (0 && 1/0 || 1)\n1\n#endif", "1")
    try assert("#if -1 < 0x10 && ~0 == -1 && 'a' == 97 && (3 << 2) % 5 == 2\n1\n#endif", "1")
    try assert("#ifdef __METAL__\n1\n#endif\n#if __METAL_VERSION__ >= 310\n2\n#endif\n#ifndef INFINITY\n3\n#endif", "1 2")
    try assert("#if __has_include(<metal_stdlib>) && !__has_feature(x) && unknown == 0 && true\n1\n#endif", "1")
    try assert("#ifdef A\n#elifndef A\n1\n#endif", "1")
  }

  func testIncludes() throws {
    let headers = [
      "once.h": "#pragma once\n1", "twice.h": "2", "dir/a.h": "#include \"b.h\"\n#include \"../twice.h\"", "dir/b.h": "__FILE__ __LINE__",
    ]
    XCTAssertEqual(try run("#include \"once.h\"\n#include \"once.h\"\n#include \"twice.h\"\n#include \"twice.h\"", headers: headers), "1 2 2")
    XCTAssertEqual(try run("#include \"dir/a.h\"\n#define H \"once.h\"\n#include H", headers: headers), "\"dir/b.h\" 1 2 1")
    XCTAssertEqual(try run("#include <metal_stdlib>\n#include <simd/simd.h>\n#import <metal_simdgroup>\nx"), "x")
  }

  func testGivenMacros() throws {
    XCTAssertEqual(try run("T x = N;", macros: ["T": "metal::float4", "N": "2"]), "metal::float4 x = 2;")
  }

  func testTokens() throws {
    try assert("a/* x\n */b // c \\\n still\nd", "a b d")
    try assert("ab\\\nc = 1'000.5e+3f .5 0x1p-3 1..2 x->*y <<= ...", "abc = 1'000.5e+3f .5 0x1p-3 1..2 x->*y <<= ...")
    try assert("__COUNTER__ __COUNTER__ __LINE__", "0 1 1")
  }

  // MARK: hostile input

  private func assertFails(_ source: String, _ message: String, headers: [String: String] = [:], line: UInt = #line) {
    XCTAssertThrowsError(try Translation(source: source, name: "t.metal", headers: headers), line: line) { error in
      let log = (error as? CompileFailure)?.log ?? "\(error)"
      XCTAssertTrue(log.contains(message), log, line: line)
    }
  }

  func testHostileMacros() {
    // Each doubles what it makes.
    var bomb = "#define A0 x x\n"
    for i in 1...40 { bomb += "#define A\(i) A\(i - 1) A\(i - 1)\n" }
    assertFails(bomb + "A40", "macros expand to more than 1,000,000 tokens")
    var long = "#define P(a, b) a##b\n#define Q(a) P(a, a)\n#define L0 xxxxxxxx\n"
    for i in 1...30 { long += "#define R\(i)(a) R\(i - 1)(a##a)\n" }
    long += "#define R0(a) a\nR30(xxxxxxxx)"
    assertFails(long, "t.metal:35:1: error: a macro makes a token too long")
    assertFails("#define F(x) x\n" + String(repeating: "F(", count: 10_000) + String(repeating: ")", count: 10_000), "nested more than 256 deep")
    assertFails("#define F(x) x\n" + String(repeating: "F(", count: 200) + String(repeating: ")", count: 200), "nested more than 128 deep")
    assertFails("#define F(x) x\n" + String(repeating: "F(", count: 100), "has no ')'")
    assertFails("#define X # y\n#define F(x) # y\nF(1)", "t.metal:3:1: error: '#' needs a macro parameter")
    assertFails("#define F(a) a ## +\nF(b)", "'b+', which is no token")
    assertFails("#define F(x) x\nF(1\n#define G\n)", "t.metal:3:1: error: a directive inside the arguments")
    assertFails("#define defined 1", "'defined' cannot be redefined")
  }

  func testHostileNesting() {
    for pair in ["()", "[]", "{}"] {
      let open = String(repeating: String(pair.first!), count: 10_000)
      let close = String(repeating: String(pair.last!), count: 10_000)
      assertFails("constant int x = \(open)1\(close);", "nested more than 256 deep")
      assertFails("void f() { \(open)", "nested more than 256 deep")
      assertFails(close, "t.metal:1:1: error: unmatched")
    }
    assertFails("#if " + String(repeating: "(", count: 10_000) + "1", "nested more than 256 deep")
    assertFails("#if " + String(repeating: "1 ? ", count: 10_000) + "1", "nested more than 256 deep")
    assertFails("#if " + String(repeating: "!", count: 100_000) + "\n#endif", "not complete")
    assertFails(String(repeating: "#if 1\n", count: 10_000), "t.metal:10000:1: error: #if without #endif")
    assertFails(String(repeating: "template <", count: 10_000), "has no '>'")
    assertFails(String(repeating: "struct A { ", count: 10_000), "nested more than 256 deep")
  }

  func testHostileIncludes() {
    var headers = ["self.h": "#include \"self.h\"\n", "both.h": "#include \"both.h\"\n#include \"both.h\"\n"]
    for i in 0..<1000 { headers["h\(i).h"] = "#include \"h\(i + 1).h\"\n" }
    assertFails("#include \"self.h\"", "#include nested more than 200 deep", headers: headers)
    assertFails("#include \"both.h\"", "#include nested more than 200 deep", headers: headers)
    assertFails("#include \"h0.h\"", "#include nested more than 200 deep", headers: headers)
    for i in 0..<100 { headers["w\(i).h"] = "#include \"w\(i + 1).h\"\n#include \"w\(i + 1).h\"\n" }
    headers["w100.h"] = ""
    assertFails("#include \"w0.h\"", "more than 20,000 #includes", headers: headers)
  }

  func testHostileTexts() {
    assertFails("int x;\0", "t.metal:1:7: error: the source has a NUL byte")
    assertFails("/* ", "t.metal:1:1: error: unterminated /* comment")
    assertFails("constant int x = \"abc\n;", "t.metal:1:18: error: unterminated string")
    assertFails("constant int x = 'a\n;", "t.metal:1:18: error: unterminated character literal")
    assertFails("\\", "unexpected character '\\'")
    assertFails("constant int x = `;", "unexpected character '`'")
    assertFails("#include", "#include needs")
    assertFails("#include <", "#include needs")
    assertFails("#define", "#define needs a macro's name")
    assertFails("#define F(", "have no ')'")
    XCTAssertNoThrow(try Translation(source: ""))
    XCTAssertNoThrow(try Translation(source: "\\\n\\\r\n// only a comment"))
  }
}
