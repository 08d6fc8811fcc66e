// Plain values of the API: sizes, places, options. Apple's names, labels and raw values.

/// Seconds, as Core Foundation calls them.
public typealias CFTimeInterval = Double

public struct MTLSize: Sendable {
  public var width: Int
  public var height: Int
  public var depth: Int

  public init() { self.init(width: 0, height: 0, depth: 0) }
  public init(width: Int, height: Int, depth: Int) {
    self.width = width
    self.height = height
    self.depth = depth
  }
}

public func MTLSizeMake(_ width: Int, _ height: Int, _ depth: Int) -> MTLSize {
  MTLSize(width: width, height: height, depth: depth)
}

public struct MTLOrigin: Sendable {
  public var x: Int
  public var y: Int
  public var z: Int

  public init() { self.init(x: 0, y: 0, z: 0) }
  public init(x: Int, y: Int, z: Int) {
    self.x = x
    self.y = y
    self.z = z
  }
}

public func MTLOriginMake(_ x: Int, _ y: Int, _ z: Int) -> MTLOrigin { MTLOrigin(x: x, y: y, z: z) }

public struct MTLRegion: Sendable {
  public var origin: MTLOrigin
  public var size: MTLSize

  public init() { self.init(origin: MTLOrigin(), size: MTLSize()) }
  public init(origin: MTLOrigin, size: MTLSize) {
    self.origin = origin
    self.size = size
  }
}

public func MTLRegionMake1D(_ x: Int, _ width: Int) -> MTLRegion {
  MTLRegion(origin: MTLOrigin(x: x, y: 0, z: 0), size: MTLSize(width: width, height: 1, depth: 1))
}

public func MTLRegionMake2D(_ x: Int, _ y: Int, _ width: Int, _ height: Int) -> MTLRegion {
  MTLRegion(origin: MTLOrigin(x: x, y: y, z: 0), size: MTLSize(width: width, height: height, depth: 1))
}

public func MTLRegionMake3D(_ x: Int, _ y: Int, _ z: Int, _ width: Int, _ height: Int, _ depth: Int) -> MTLRegion {
  MTLRegion(origin: MTLOrigin(x: x, y: y, z: z), size: MTLSize(width: width, height: height, depth: depth))
}

/// What an indirect dispatch reads from its buffer.
public struct MTLDispatchThreadgroupsIndirectArguments: Sendable {
  public var threadgroupsPerGrid: (UInt32, UInt32, UInt32)

  public init() { threadgroupsPerGrid = (0, 0, 0) }
  public init(threadgroupsPerGrid: (UInt32, UInt32, UInt32)) { self.threadgroupsPerGrid = threadgroupsPerGrid }
}

public enum MTLStorageMode: UInt, Sendable {
  case shared = 0
  case managed = 1
  case `private` = 2
  case memoryless = 3
}

public enum MTLCPUCacheMode: UInt, Sendable {
  case defaultCache = 0
  case writeCombined = 1
}

public enum MTLHazardTrackingMode: UInt, Sendable {
  case `default` = 0
  case untracked = 1
  case tracked = 2
}

public enum MTLPurgeableState: UInt, Sendable {
  case keepCurrent = 1
  case nonVolatile = 2
  case volatile = 3
  case empty = 4
}

public enum MTLDispatchType: UInt, Sendable {
  case serial = 0
  case concurrent = 1
}

public enum MTLCommandBufferStatus: UInt, Sendable {
  case notEnqueued = 0
  case enqueued = 1
  case committed = 2
  case scheduled = 3
  case completed = 4
  case error = 5
}

public enum MTLFunctionType: UInt, Sendable {
  case vertex = 1
  case fragment = 2
  case kernel = 3
  case visible = 5
  case intersection = 6
  case mesh = 7
  case object = 8
}

public enum MTLLibraryType: Int, Sendable {
  case executable = 0
  case dynamic = 1
}

public enum MTLLibraryOptimizationLevel: Int, Sendable {
  case `default` = 0
  case size = 1
}

public enum MTLMathMode: Int, Sendable {
  case safe = 0
  case relaxed = 1
  case fast = 2
}

public enum MTLMathFloatingPointFunctions: Int, Sendable {
  case fast = 0
  case precise = 1
}

public enum MTLDeviceLocation: UInt, Sendable {
  case builtIn = 0
  case slot = 1
  case external = 2
  case unspecified = 0xffff_ffff_ffff_ffff
}

public enum MTLArgumentBuffersTier: UInt, Sendable {
  case tier1 = 0
  case tier2 = 1
}

public enum MTLMutability: UInt, Sendable {
  case `default` = 0
  case mutable = 1
  case immutable = 2
}
