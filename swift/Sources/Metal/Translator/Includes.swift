/// The names in #include directives.
enum Includes {
  /// Apple's headers that the prelude stands for.
  static let known: Set<String> = [
    "metal_stdlib", "metal_array", "metal_atomic", "metal_common", "metal_compute", "metal_config",
    "metal_extended_vector", "metal_fixed", "metal_geometric", "metal_graphics", "metal_integer", "metal_limits",
    "metal_math", "metal_matrix", "metal_numeric", "metal_pack", "metal_packed_vector", "metal_quadgroup",
    "metal_relational", "metal_simdgroup", "metal_simdgroup_matrix", "metal_texture", "metal_tuple",
    "metal_type_traits", "metal_types", "metal_uniform", "metal_utility", "simd/simd.h", "TargetConditionals.h",
  ]

  /// From the tokens behind #include: `<name>` or `"name"`.
  static func name(_ tokens: [Token]) -> (name: String, isSystem: Bool)? {
    guard let first = tokens.first else { return nil }
    if first.kind == .string { return (String(first.text.dropFirst().dropLast()), false) }
    guard first.is("<"), let end = tokens.lastIndex(where: { $0.is(">") }), end > 1 else { return nil }
    return (tokens[1..<end].map(\.text).joined(), true)
  }

  static func directory(_ name: String) -> String {
    guard let slash = name.lastIndex(of: "/") else { return "" }
    return String(name[...slash])
  }

  /// Without `.` and `..`.
  static func normal(_ path: String) -> String {
    var parts: [Substring] = []
    for part in path.split(separator: "/") where part != "." {
      if part == "..", let last = parts.last, last != ".." { parts.removeLast() } else { parts.append(part) }
    }
    return parts.joined(separator: "/")
  }

  private static let standard: Set<String> = [
    "algorithm", "array", "atomic", "cassert", "cfloat", "climits", "cmath", "complex", "cstddef", "cstdint", "cstdio",
    "cstdlib", "cstring", "functional", "iostream", "limits", "memory", "numeric", "string", "tuple", "type_traits",
    "utility", "vector", "math.h", "stdint.h", "stdio.h", "stdlib.h", "string.h", "float.h", "limits.h", "stddef.h",
    "assert.h", "stdbool.h", "span", "optional", "bit", "initializer_list", "cstdarg", "map", "set",
  ]

  static func refusal(_ tokens: [Token], _ headers: [String: String]) -> String {
    guard let (name, isSystem) = name(tokens) else { return "#include needs \"name\" or <name>" }
    if standard.contains(name) {
      return "Metal has no C++ standard library, so there is no <\(name)>: #include <metal_stdlib> has its mathematics, "
        + "atomics, limits and type traits in namespace metal"
    }
    if name.hasPrefix("cuda") || name.hasPrefix("cooperative_groups") || name.hasPrefix("hip/") {
      return "<\(name)> is not Metal: #include <metal_stdlib>"
    }
    if isSystem || name.hasPrefix("metal_") { return "unknown header <\(name)>" }
    let given = headers.keys.sorted()
    let list = given.isEmpty ? "none is given" : "given are " + given.prefix(20).joined(separator: ", ")
    return "header \"\(name)\" not found: \(list)"
  }
}
