import Threading

public protocol MTLEvent: AnyObject, Sendable {
  var device: (any MTLDevice)? { get }
  var label: String? { get set }
}

public protocol MTLFence: AnyObject, Sendable {
  var device: any MTLDevice { get }
  var label: String? { get set }
}

class EventObject: MTLEvent, @unchecked Sendable {
  let owner: DeviceObject
  let engine: any EngineEvent
  private let lock = Mutex()
  private var name: String?

  init(_ owner: DeviceObject) throws {
    self.owner = owner
    engine = try owner.engine.makeEvent()
  }

  var device: (any MTLDevice)? { owner }

  var label: String? {
    get { lock.holding { name } }
    set { lock.holding { name = newValue } }
  }
}

final class FenceObject: MTLFence, @unchecked Sendable {
  private let owner: DeviceObject
  private let lock = Mutex()
  private var name: String?

  init(_ owner: DeviceObject) { self.owner = owner }

  var device: any MTLDevice { owner }

  var label: String? {
    get { lock.holding { name } }
    set { lock.holding { name = newValue } }
  }
}
