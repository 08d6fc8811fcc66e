import Threading

public protocol MTLResource: AnyObject, Sendable {
  var label: String? { get set }
  var device: any MTLDevice { get }
  var cpuCacheMode: MTLCPUCacheMode { get }
  var storageMode: MTLStorageMode { get }
  var hazardTrackingMode: MTLHazardTrackingMode { get }
  var resourceOptions: MTLResourceOptions { get }
  var allocatedSize: Int { get }
  var heapOffset: Int { get }
  @discardableResult func setPurgeableState(_ state: MTLPurgeableState) -> MTLPurgeableState
  func makeAliasable()
  func isAliasable() -> Bool
}

public protocol MTLBuffer: MTLResource {
  var length: Int { get }
  var gpuAddress: UInt64 { get }
  func contents() -> UnsafeMutableRawPointer
  func didModifyRange(_ range: Range<Int>)
  func addDebugMarker(_ marker: String, range: Range<Int>)
  func removeAllDebugMarkers()
}

final class BufferObject: MTLBuffer, @unchecked Sendable {
  let allocation: Allocation
  let length: Int
  let resourceOptions: MTLResourceOptions
  let owner: DeviceObject
  private let lock = Mutex()
  private var name: String?
  private var purgeable = MTLPurgeableState.nonVolatile

  init(_ owner: DeviceObject, _ allocation: Allocation, _ length: Int, _ options: MTLResourceOptions) {
    self.owner = owner
    self.allocation = allocation
    self.length = length
    resourceOptions = options
    owner.count(allocation.length)
  }

  deinit { owner.count(-allocation.length) }

  var device: any MTLDevice { owner }
  var cpuCacheMode: MTLCPUCacheMode { resourceOptions.cpuCacheMode }
  var storageMode: MTLStorageMode { resourceOptions.storageMode }
  var hazardTrackingMode: MTLHazardTrackingMode {
    resourceOptions.hazardTrackingMode == .untracked ? .untracked : .tracked
  }
  var allocatedSize: Int { allocation.length }
  var heapOffset: Int { 0 }
  var gpuAddress: UInt64 { UInt64(allocation.address) }

  var label: String? {
    get { lock.holding { name } }
    set { lock.holding { name = newValue } }
  }

  func contents() -> UnsafeMutableRawPointer {
    guard storageMode != .private, let contents = allocation.contents else {
      fatalError("Cannot give the contents of \(described): private memory is not the host's; copy it with a blit")
    }
    return contents
  }

  /// Shared and managed memory is one memory here, so there is nothing to flush.
  func didModifyRange(_ range: Range<Int>) {}

  func setPurgeableState(_ state: MTLPurgeableState) -> MTLPurgeableState {
    lock.holding {
      let before = purgeable
      if state != .keepCurrent { purgeable = state }
      return before
    }
  }

  func makeAliasable() {}
  func isAliasable() -> Bool { false }
  func addDebugMarker(_ marker: String, range: Range<Int>) {}
  func removeAllDebugMarkers() {}

  /// For messages.
  var described: String {
    label.map { "buffer \"\($0)\" of \(length) bytes" } ?? "a buffer of \(length) bytes"
  }
}
