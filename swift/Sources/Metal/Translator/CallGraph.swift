/// Who calls whom, among functions whose name has one definition: Metal has no recursion.
struct CallGraph {
  private let program: Program
  private var functions: [String: Int] = [:]

  init(_ program: Program) {
    self.program = program
    var count: [String: Int] = [:]
    for (number, declaration) in program.declarations.enumerated()
    where declaration.kind == .function && declaration.body != nil {
      count[declaration.name, default: 0] += 1
      // A template may call another instance of itself; an overload of Metal's own may call that.
      if !declaration.isTemplate, !declaration.isMember, !Vocabulary.functions.contains(declaration.name) {
        functions[declaration.name] = number
      }
    }
    for (name, times) in count where times > 1 { functions[name] = nil }
  }

  private func calls(_ number: Int) -> [(callee: Int, at: Int)] {
    guard let body = program.declarations[number].body else { return [] }
    return body.compactMap { i in
      let token = program.tokens[i]
      guard token.isIdentifier, program.is(i + 1, "("), let callee = functions[token.text],
        !program.is(i - 1, "."), !program.is(i - 1, "->"), !(program.is(i - 1, "::") && program.is(i - 2, "metal")),
        !program.tokens[i - 1].isIdentifier || Vocabulary.wordsBeforeNames.contains(program.tokens[i - 1].text)
      else { return nil }
      return (callee, i)
    }
  }

  func recursions() -> [Fault] {
    var faults: [Fault] = []
    var state: [Int: Bool] = [:]  // false: on the path, true: done
    for start in functions.values.sorted() where state[start] == nil {
      var path: [(number: Int, calls: [(callee: Int, at: Int)], next: Int)] = [(start, calls(start), 0)]
      state[start] = false
      while let top = path.last {
        guard top.next < top.calls.count else {
          state[top.number] = true
          path.removeLast()
          continue
        }
        path[path.count - 1].next += 1
        let (callee, at) = top.calls[top.next]
        if state[callee] == false {
          let name = program.declarations[callee].name
          let through = top.number == callee ? "calls itself" : "is called again by '\(program.declarations[top.number].name)'"
          faults.append(Fault(program.tokens[at].place, "Metal has no recursion: '\(name)' \(through)"))
        } else if state[callee] == nil {
          state[callee] = false
          path.append((callee, calls(callee), 0))
        }
      }
    }
    return faults
  }
}
