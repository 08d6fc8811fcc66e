/// All kernels of a program with what their declarations say.
struct KernelList {
  private(set) var kernels: [Kernel] = []
  /// The declarations that are kernels, prototypes too.
  private(set) var declarations: Set<Int> = []
  private(set) var instantiations: [Instantiation] = []

  init(_ program: Program, _ constants: FunctionConstants, _ reader: KernelReader, _ files: SourceFiles) throws {
    var definitions: [KernelDeclaration] = []
    var templates: [String: [Int]] = [:]
    for (number, declaration) in program.declarations.enumerated() where reader.isKernel(declaration) {
      declarations.insert(number)
      guard declaration.body != nil else { continue }
      if declaration.isTemplate { templates[declaration.name, default: []].append(definitions.count) }
      definitions.append(try reader.read(number))
    }
    var reach = Reachability(program)
    func expression(_ declaration: Declaration) -> String {
      (declaration.path + [Rewriter.kernelPrefix + declaration.name]).joined(separator: "::")
    }
    for definition in definitions where definition.templateParameters.isEmpty {
      let declaration = program.declarations[definition.declaration]
      let bounds = try reader.bounds(definition, [])
      kernels.append(
        Kernel(
          name: definition.hostName ?? (declaration.path + [declaration.name]).joined(separator: "::"),
          expression: expression(declaration), parameters: definition.parameters, maxTotalThreads: bounds.value,
          launchBounds: bounds.text, location: files.location(program.tokens[declaration.nameAt].place),
          place: program.tokens[declaration.nameAt].place,
          constants: reach.constants(from: definition.declaration, and: [], constants),
          declaration: definition.declaration))
    }
    for declaration in program.declarations where declaration.kind == .instantiation {
      guard let found = try reader.instantiation(declaration, templates, definitions) else { continue }
      instantiations.append(found)
      let definition = definitions[found.kernel]
      let bounds = try reader.bounds(definition, found.arguments)
      let kernel = program.declarations[definition.declaration]
      let arguments = found.arguments.map { argument in
        argument.filter { !["device", "thread", "threadgroup"].contains($0.text) }.spelled
      }.joined(separator: ", ")
      kernels.append(
        Kernel(
          name: found.hostName, expression: "\(expression(kernel))<\(arguments)>",
          parameters: definition.parameters, maxTotalThreads: bounds.value, launchBounds: bounds.text,
          location: files.location(program.tokens[found.nameAt].place), place: program.tokens[found.nameAt].place,
          constants: reach.constants(from: definition.declaration, and: found.arguments.joined(), constants),
          declaration: definition.declaration))
    }
    var seen: [String: Kernel] = [:]
    for kernel in kernels {
      if let other = seen[kernel.name] {
        let place = program.tokens[program.declarations[kernel.declaration].nameAt].place
        throw Fault(place, "two kernels are called '\(kernel.name)' (the other at line \(other.location.line))")
      }
      seen[kernel.name] = kernel
    }
  }
}
