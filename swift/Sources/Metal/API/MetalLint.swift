// For `check`: what Apple's front end would say, where it is not. Not in Apple's API.

/// A log with places in the source; empty where nothing is wrong. Throws where there is no compiler to ask.
public func metalLint(_ source: String) throws -> String {
  do {
    let translation = try Translation(source: source)
    let emission = try translation.emit(.lint, kernel: nil)
    try EmulatorCompiler().lint(emission)
    return ""
  } catch let failure as CompileFailure {
    return failure.log
  }
}
