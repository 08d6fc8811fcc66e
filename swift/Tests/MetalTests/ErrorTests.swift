import Foundation
import Metal
import XCTest

/// Errors as a program meets them, Foundation's `localizedDescription` included.
final class ErrorTests: XCTestCase {
  private let good = """
    #include <metal_stdlib>
    using namespace metal;
    kernel void fill(device float *out, constant float &value, uint i [[thread_position_in_grid]]) { out[i] = value; }
    """

  func testBadSourceNamesLineAndColumn() throws {
    try onDevices { device in
      let source = """
        #include <metal_stdlib>
        using namespace metal;
        kernel void broken(device float *out, uint i [[thread_position_in_grid]]) {
          out[i] = undeclared + 1;
        }
        """
      do {
        _ = try device.makeLibrary(source: source, options: nil)
        XCTFail("it compiled")
      } catch let error as MTLLibraryError {
        XCTAssertEqual(error.code, .compileFailure)
        XCTAssertTrue(error.localizedDescription.contains("program_source:4:12: error:"), error.localizedDescription)
        XCTAssertTrue((error as any Error).localizedDescription.contains("undeclared"))
      }
    }
  }

  func testErrorsMatchByCode() throws {
    try onDevices { device in
      do {
        _ = try device.makeLibrary(source: "kernel void f(", options: nil)
        XCTFail("it compiled")
      } catch MTLLibraryError.compileFailure {
      } catch {
        XCTFail("\(error)")
      }
      XCTAssertThrowsError(try device.makeLibrary(filepath: "/nonexistent/default.metallib")) {
        XCTAssertEqual(($0 as? MTLLibraryError)?.code, .fileNotFound)
      }
    }
  }

  func testTexturesAreRefusedWithTheirPlace() throws {
    try onDevices { device in
      let source = """
        #include <metal_stdlib>
        using namespace metal;
        kernel void sample(texture2d<float> image [[texture(0)]], uint2 at [[thread_position_in_grid]]) {}
        """
      XCTAssertThrowsError(try device.makeLibrary(source: source, options: nil)) {
        XCTAssertTrue("\($0)".contains("program_source:3:"), "\($0)")
      }
    }
  }

  func testAbsentNames() throws {
    try onDevices { device in
      let library = try device.makeLibrary(source: good, options: nil)
      XCTAssertEqual(library.functionNames, ["fill"])
      XCTAssertNil(library.makeFunction(name: "absent"))
      XCTAssertEqual(library.makeFunction(name: "fill")?.functionType, .kernel)
      XCTAssertThrowsError(try library.makeFunction(name: "absent", constantValues: MTLFunctionConstantValues())) {
        XCTAssertEqual(($0 as? MTLLibraryError)?.code, .functionNotFound)
        XCTAssertTrue("\($0)".contains("\"fill\""))
      }
    }
  }

  func testFunctionConstantsAreDescribed() throws {
    try onDevices { device in
      let source = """
        #include <metal_stdlib>
        using namespace metal;
        constant uint width [[function_constant(3)]];
        constant float2 scale [[function_constant(5)]];
        kernel void f(device float *out, uint i [[thread_position_in_grid]]) { out[i] = float(width) * scale.y; }
        """
      let library = try device.makeLibrary(source: source, options: nil)
      let function = try XCTUnwrap(library.makeFunction(name: "f"))
      let constants = function.functionConstantsDictionary
      XCTAssertEqual(constants["width"]?.index, 3)
      XCTAssertEqual(constants["width"]?.type, .uint)
      XCTAssertEqual(constants["width"]?.required, true)
      XCTAssertEqual(constants["scale"]?.type, .float2)
      XCTAssertThrowsError(try device.makeComputePipelineState(function: function))
      let values = MTLFunctionConstantValues()
      var wrong: Float = 1
      values.setConstantValue(&wrong, type: .float, index: 3)
      XCTAssertThrowsError(try library.makeFunction(name: "f", constantValues: values)) {
        XCTAssertTrue("\($0)".contains("\"width\" (3) is of type uint"), "\($0)")
      }
      values.reset()
      var width: UInt32 = 7
      var scale = SIMD2<Float>(1, 3)
      values.setConstantValue(&width, type: .uint, index: 3)
      values.setConstantValue(&scale, type: .float2, withName: "scale")
      let special = try library.makeFunction(name: "f", constantValues: values)
      XCTAssertEqual(try Self.fill(device, device.makeComputePipelineState(function: special)), 21)
    }
  }

  private static func fill(_ device: any MTLDevice, _ state: any MTLComputePipelineState) throws -> Float {
    let out = device.makeBuffer(length: 4)!
    let commands = device.makeCommandQueue()!.makeCommandBuffer()!
    let encoder = commands.makeComputeCommandEncoder()!
    encoder.setComputePipelineState(state)
    encoder.setBuffer(out, offset: 0, index: 0)
    encoder.dispatchThreads(MTLSizeMake(1, 1, 1), threadsPerThreadgroup: MTLSizeMake(1, 1, 1))
    encoder.endEncoding()
    commands.commit()
    commands.waitUntilCompleted()
    if let error = commands.error { throw error }
    return out.contents().load(as: Float.self)
  }

  func testMacrosAndCompletionHandlers() {
    onDevices { device in
      let options = MTLCompileOptions()
      options.preprocessorMacros = ["VALUE": NSNumber(value: 6), "KERNEL": "answer" as NSString]
      options.languageVersion = .version3_0
      options.fastMathEnabled = false
      XCTAssertEqual(options.mathMode, .safe)
      let source = "kernel void KERNEL(device float *out [[buffer(0)]]) { out[0] = VALUE * 7; }"
      let done = expectation(description: "pipeline")
      device.makeLibrary(source: source, options: options) { library, error in
        XCTAssertNil(error)
        let function = library!.makeFunction(name: "answer")!
        function.device.makeComputePipelineState(function: function, options: [.argumentInfo]) { state, reflection, error in
          XCTAssertNil(error)
          XCTAssertEqual(reflection?.bindings.map(\.name), ["out"])
          XCTAssertEqual(reflection?.bindings.first?.access, .readWrite)
          XCTAssertEqual(try? Self.fill(state!.device, state!), 42)
          done.fulfill()
        }
      }
      wait(for: [done], timeout: 60)
      let failed = expectation(description: "error")
      device.makeLibrary(source: "kernel int f() {}", options: nil) { library, error in
        XCTAssertNil(library)
        XCTAssertEqual((error as? MTLLibraryError)?.code, .compileFailure)
        failed.fulfill()
      }
      wait(for: [failed], timeout: 60)
    }
  }

  func testCaptureIsRefused() {
    let manager = MTLCaptureManager.shared()
    XCTAssertFalse(manager.supportsDestination(.gpuTraceDocument))
    let descriptor = MTLCaptureDescriptor()
    descriptor.captureObject = testDevices().first
    descriptor.destination = .gpuTraceDocument
    XCTAssertThrowsError(try manager.startCapture(with: descriptor)) {
      XCTAssertEqual(($0 as? MTLCaptureError)?.code, .notSupported)
      XCTAssertTrue($0.localizedDescription.hasPrefix("Cannot start a capture"))
    }
  }
}
