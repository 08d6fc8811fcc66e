// Libraries and pipelines of a device.

extension DeviceObject {
  func makeLibrary(source: String, options: MTLCompileOptions?) throws -> any MTLLibrary {
    try LibraryObject(self, sources: [("program_source", source)], options)
  }

  func makeLibrary(
    source: String, options: MTLCompileOptions?, completionHandler: @escaping MTLNewLibraryCompletionHandler
  ) {
    later { try self.makeLibrary(source: source, options: options) } then: { completionHandler($0, $1) }
  }

  func makeDefaultLibrary() -> (any MTLLibrary)? {
    let files = ShaderFiles.ofProgram()
    return files.isEmpty ? nil : try? LibraryObject(self, sources: files, nil)
  }

  func makeLibrary(URL url: any CustomStringConvertible) throws -> any MTLLibrary {
    try makeLibrary(filepath: ShaderFiles.path(ofURL: url.description))
  }

  /// MSL in a file. What Apple's compiler made of it is for Apple's GPUs.
  func makeLibrary(filepath: String) throws -> any MTLLibrary {
    guard access(filepath, R_OK) == 0 else {
      throw MTLLibraryError(.fileNotFound, "Cannot read \(filepath): \(String(cString: strerror(errno)))")
    }
    guard filepath.hasSuffix(".metal"), let text = ShaderFiles.read(filepath) else {
      throw MTLLibraryError(
        .unsupported, "Cannot load \(filepath): it is no .metal file; compiled libraries are for Apple's GPUs alone")
    }
    let name = filepath.split(separator: "/").last.map(String.init) ?? filepath
    return try LibraryObject(self, sources: [(name, text)], nil)
  }

  // MARK: pipelines

  private func pipeline(_ function: (any MTLFunction)?, label: String?, maxThreads: Int = 0) throws -> PipelineObject {
    guard let function = function as? FunctionObject else {
      throw MTLLibraryError(.functionNotFound, "Cannot make a pipeline: no compute function is given")
    }
    guard function.library.owner === self else {
      throw MTLLibraryError(
        .unsupported, "Cannot make a pipeline of \"\(function.name)\": its library belongs to \(function.device.name), not \(name)")
    }
    return try PipelineObject(function, label: label, maxThreads: maxThreads)
  }

  func makeComputePipelineState(function computeFunction: any MTLFunction) throws -> any MTLComputePipelineState {
    try pipeline(computeFunction, label: computeFunction.label)
  }

  func makeComputePipelineState(
    function computeFunction: any MTLFunction, completionHandler: @escaping MTLNewComputePipelineStateCompletionHandler
  ) {
    later { try self.makeComputePipelineState(function: computeFunction) } then: { completionHandler($0, $1) }
  }

  func makeComputePipelineState(
    function computeFunction: any MTLFunction, options: MTLPipelineOption,
    reflection: UnsafeMutablePointer<MTLAutoreleasedComputePipelineReflection?>?
  ) throws -> any MTLComputePipelineState {
    let pipeline = try pipeline(computeFunction, label: computeFunction.label)
    reflection?.pointee = MTLComputePipelineReflection(pipeline)
    return pipeline
  }

  func makeComputePipelineState(
    function computeFunction: any MTLFunction, options: MTLPipelineOption,
    completionHandler: @escaping MTLNewComputePipelineStateWithReflectionCompletionHandler
  ) {
    later { try self.pipeline(computeFunction, label: computeFunction.label) } then: {
      completionHandler($0, $0.map(MTLComputePipelineReflection.init), $1)
    }
  }

  func makeComputePipelineState(
    descriptor: MTLComputePipelineDescriptor, options: MTLPipelineOption,
    reflection: UnsafeMutablePointer<MTLAutoreleasedComputePipelineReflection?>?
  ) throws -> any MTLComputePipelineState {
    let pipeline = try pipeline(
      descriptor.computeFunction, label: descriptor.label, maxThreads: descriptor.maxTotalThreadsPerThreadgroup)
    reflection?.pointee = MTLComputePipelineReflection(pipeline)
    return pipeline
  }

  func makeComputePipelineState(
    descriptor: MTLComputePipelineDescriptor, options: MTLPipelineOption,
    completionHandler: @escaping MTLNewComputePipelineStateWithReflectionCompletionHandler
  ) {
    let (function, label, most) = (
      descriptor.computeFunction, descriptor.label, descriptor.maxTotalThreadsPerThreadgroup
    )
    later { try self.pipeline(function, label: label, maxThreads: most) } then: {
      completionHandler($0, $0.map(MTLComputePipelineReflection.init), $1)
    }
  }
}
