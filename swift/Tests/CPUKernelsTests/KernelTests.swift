import CPUKernels
import XCTest

final class KernelTests: XCTestCase {
  func testTablesEndWithScalar() {
    var found = [UnsafePointer<cpu_kernels>?](repeating: nil, count: 8)
    let count = cpu_tables(&found, 8)
    XCTAssertEqual(String(cString: found[Int(count) - 1]!.pointee.name), "scalar")
  }
}
