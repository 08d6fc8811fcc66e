// Option sets and the enumerations that name versions and families.

public struct MTLResourceOptions: OptionSet, Sendable {
  public let rawValue: UInt
  public init(rawValue: UInt) { self.rawValue = rawValue }

  public static let cpuCacheModeWriteCombined = MTLResourceOptions(rawValue: 1)
  public static let storageModeManaged = MTLResourceOptions(rawValue: 1 << 4)
  public static let storageModePrivate = MTLResourceOptions(rawValue: 2 << 4)
  public static let storageModeMemoryless = MTLResourceOptions(rawValue: 3 << 4)
  public static let hazardTrackingModeUntracked = MTLResourceOptions(rawValue: 1 << 8)
  public static let hazardTrackingModeTracked = MTLResourceOptions(rawValue: 2 << 8)

  // The three defaults are 0, as on Apple.
  public static var cpuCacheModeDefaultCache: MTLResourceOptions { [] }
  public static var storageModeShared: MTLResourceOptions { [] }
  public static var hazardTrackingModeDefault: MTLResourceOptions { [] }

  var storageMode: MTLStorageMode { MTLStorageMode(rawValue: rawValue >> 4 & 0xf) ?? .shared }
  var cpuCacheMode: MTLCPUCacheMode { MTLCPUCacheMode(rawValue: rawValue & 0xf) ?? .defaultCache }
  var hazardTrackingMode: MTLHazardTrackingMode { MTLHazardTrackingMode(rawValue: rawValue >> 8 & 0x3) ?? .default }
}

public struct MTLBarrierScope: OptionSet, Sendable {
  public let rawValue: UInt
  public init(rawValue: UInt) { self.rawValue = rawValue }

  public static let buffers = MTLBarrierScope(rawValue: 1)
  public static let textures = MTLBarrierScope(rawValue: 2)
  public static let renderTargets = MTLBarrierScope(rawValue: 4)
}

public struct MTLResourceUsage: OptionSet, Sendable {
  public let rawValue: UInt
  public init(rawValue: UInt) { self.rawValue = rawValue }

  public static let read = MTLResourceUsage(rawValue: 1)
  public static let write = MTLResourceUsage(rawValue: 2)
}

public struct MTLPipelineOption: OptionSet, Sendable {
  public let rawValue: UInt
  public init(rawValue: UInt) { self.rawValue = rawValue }

  public static let argumentInfo = MTLPipelineOption(rawValue: 1)
  public static let bindingInfo = MTLPipelineOption(rawValue: 1)
  public static let bufferTypeInfo = MTLPipelineOption(rawValue: 2)
  public static let failOnBinaryArchiveMiss = MTLPipelineOption(rawValue: 4)
}

public struct MTLCommandBufferErrorOption: OptionSet, Sendable {
  public let rawValue: UInt
  public init(rawValue: UInt) { self.rawValue = rawValue }

  public static let encoderExecutionStatus = MTLCommandBufferErrorOption(rawValue: 1)
}

public struct MTLBlitOption: OptionSet, Sendable {
  public let rawValue: UInt
  public init(rawValue: UInt) { self.rawValue = rawValue }

  public static let depthFromDepthStencil = MTLBlitOption(rawValue: 1)
  public static let stencilFromDepthStencil = MTLBlitOption(rawValue: 2)
  public static let rowLinearPVRTC = MTLBlitOption(rawValue: 4)
}

public enum MTLGPUFamily: Int, Sendable {
  case apple1 = 1001
  case apple2 = 1002
  case apple3 = 1003
  case apple4 = 1004
  case apple5 = 1005
  case apple6 = 1006
  case apple7 = 1007
  case apple8 = 1008
  case apple9 = 1009
  case apple10 = 1010
  case mac1 = 2001
  case mac2 = 2002
  case common1 = 3001
  case common2 = 3002
  case common3 = 3003
  case macCatalyst1 = 4001
  case macCatalyst2 = 4002
  case metal3 = 5001
  case metal4 = 5002
}

public enum MTLLanguageVersion: UInt, Sendable {
  case version1_0 = 0x1_0000
  case version1_1 = 0x1_0001
  case version1_2 = 0x1_0002
  case version2_0 = 0x2_0000
  case version2_1 = 0x2_0001
  case version2_2 = 0x2_0002
  case version2_3 = 0x2_0003
  case version2_4 = 0x2_0004
  case version3_0 = 0x3_0000
  case version3_1 = 0x3_0001
  case version3_2 = 0x3_0002
  case version4_0 = 0x4_0000
}
