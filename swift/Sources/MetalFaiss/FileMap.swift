import CMetalFaiss
import CPUKernels

/// A file in memory. What is read from it counts only if `check` finds it whole afterwards.
final class FileMap {
  private var map = cpu_map()
  private let path: String

  init(path: String) throws {
    self.path = path
    let error = cpu_map_open(path, &map)
    guard error == 0 else { throw Failure(status: MF_FILE, message: "\(path): \(String(cString: strerror(error)))") }
  }

  deinit { cpu_map_close(&map) }

  var bytes: Int { Int(map.bytes) }
  var device: Double { Double(map.device) }
  var inode: Double { Double(map.inode) }

  func check() throws {
    guard cpu_map_is_whole(&map) else {
      throw Failure(
        status: MF_FILE, message: "\(path) became shorter than \(bytes) bytes, or cannot be read, while it was mapped")
    }
  }

  /// Where `count` elements lie from a byte on.
  func elements<T>(_ type: T.Type, at offset: Double, count n: Int, _ what: String) throws -> UnsafeMutablePointer<T> {
    let offset = try MetalFaiss.count(offset, "the offset of \(what)")
    let (length, overflow) = n.multipliedReportingOverflow(by: MemoryLayout<T>.stride)
    guard n >= 0, !overflow, offset <= bytes, length <= bytes - offset else {
      throw Failure.value("\(n) \(what) at byte \(offset) are not all in the \(bytes) bytes of \(path)")
    }
    return UnsafeMutableRawPointer(mutating: map.start + offset).assumingMemoryBound(to: T.self)
  }
}

/// A store whose rows may lie in a file.
protocol Mappable: AnyObject {
  var lock: ReadWriteLock { get }
  /// The file, as long as something is read from it.
  var map: FileMap? { get }
}

extension Mappable {
  /// Reads, and no change meanwhile. What was read of a file that is not whole is an error.
  func reading<T>(_ body: () throws -> T) throws -> T {
    try lock.reading {
      do {
        let result = try body()
        try map?.check()
        return result
      } catch {
        try map?.check()
        throw error
      }
    }
  }
}

@_cdecl("mf_map_open")
public func mapOpen(
  _ path: UnsafePointer<UInt8>, _ facts: UnsafeMutablePointer<Double>, _ out: UnsafeMutablePointer<UInt32>,
  _ call: Call
) -> Int32 {
  call.run("map a file") {
    let map = try FileMap(path: String(cString: path))
    (facts[0], facts[1], facts[2]) = (Double(map.bytes), map.device, map.inode)
    out.pointee = try HandleTable.shared.insert(map)
  }
}
