import Glibc

/// The driver API: the functions we call, with CUDA's names, each from its newest stable symbol.
final class CudaDriver: @unchecked Sendable {
  typealias Code = Int32
  typealias Handle = OpaquePointer
  typealias Out<T> = UnsafeMutablePointer<T>

  let path: String
  /// 13000 for CUDA 13.0: the newest that this driver runs.
  let version: Int

  let cuInit: @convention(c) (UInt32) -> Code
  let cuGetErrorName: @convention(c) (Code, Out<UnsafePointer<CChar>?>) -> Code
  let cuGetErrorString: @convention(c) (Code, Out<UnsafePointer<CChar>?>) -> Code
  let cuDeviceGetCount: @convention(c) (Out<Int32>) -> Code
  let cuDeviceGet: @convention(c) (Out<Int32>, Int32) -> Code
  let cuDeviceGetName: @convention(c) (UnsafeMutablePointer<CChar>, Int32, Int32) -> Code
  let cuDeviceGetUuid: @convention(c) (UnsafeMutableRawPointer, Int32) -> Code
  let cuDeviceTotalMem: @convention(c) (Out<Int>, Int32) -> Code
  let cuDeviceGetAttribute: @convention(c) (Out<Int32>, Int32, Int32) -> Code
  let cuDevicePrimaryCtxRetain: @convention(c) (Out<Handle?>, Int32) -> Code
  let cuCtxSetCurrent: @convention(c) (Handle?) -> Code

  let cuMemGetInfo: @convention(c) (Out<Int>, Out<Int>) -> Code
  let cuMemAlloc: @convention(c) (Out<UInt>, Int) -> Code
  let cuMemFree: @convention(c) (UInt) -> Code
  let cuMemHostAlloc: @convention(c) (Out<UnsafeMutableRawPointer?>, Int, UInt32) -> Code
  let cuMemFreeHost: @convention(c) (UnsafeMutableRawPointer) -> Code
  let cuMemHostGetDevicePointer: @convention(c) (Out<UInt>, UnsafeMutableRawPointer, UInt32) -> Code
  let cuMemHostRegister: @convention(c) (UnsafeMutableRawPointer, Int, UInt32) -> Code
  let cuMemHostUnregister: @convention(c) (UnsafeMutableRawPointer) -> Code
  let cuMemcpyDtoH: @convention(c) (UnsafeMutableRawPointer, UInt, Int) -> Code
  let cuMemcpyAsync: @convention(c) (UInt, UInt, Int, Handle?) -> Code
  let cuMemsetD8Async: @convention(c) (UInt, UInt8, Int, Handle?) -> Code

  let cuModuleLoadData: @convention(c) (Out<Handle?>, UnsafeRawPointer) -> Code
  let cuModuleUnload: @convention(c) (Handle) -> Code
  let cuModuleGetFunction: @convention(c) (Out<Handle?>, Handle, UnsafePointer<CChar>) -> Code
  let cuModuleGetGlobal: @convention(c) (Out<UInt>, Out<Int>, Handle, UnsafePointer<CChar>) -> Code
  let cuFuncGetAttribute: @convention(c) (Out<Int32>, Int32, Handle) -> Code
  let cuFuncSetAttribute: @convention(c) (Handle, Int32, Int32) -> Code

  let cuStreamCreate: @convention(c) (Out<Handle?>, UInt32) -> Code
  let cuStreamDestroy: @convention(c) (Handle) -> Code
  let cuStreamSynchronize: @convention(c) (Handle) -> Code
  let cuStreamWaitValue64: @convention(c) (Handle, UInt, UInt64, UInt32) -> Code
  let cuStreamWriteValue64: @convention(c) (Handle, UInt, UInt64, UInt32) -> Code
  let cuEventCreate: @convention(c) (Out<Handle?>, UInt32) -> Code
  let cuEventDestroy: @convention(c) (Handle) -> Code
  let cuEventRecord: @convention(c) (Handle, Handle) -> Code
  let cuEventQuery: @convention(c) (Handle) -> Code
  let cuEventSynchronize: @convention(c) (Handle) -> Code
  let cuEventElapsedTime: @convention(c) (Out<Float>, Handle, Handle) -> Code
  let cuLaunchKernel:
    @convention(c) (
      Handle, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, UInt32, Handle,
      UnsafeMutablePointer<UnsafeMutableRawPointer?>,
      UnsafeMutableRawPointer?
    ) -> Code
  /// A launch with attributes; nil where a driver lacks it.
  let cuLaunchKernelEx:
    (
      @convention(c) (
        UnsafeRawPointer, Handle, UnsafeMutablePointer<UnsafeMutableRawPointer?>, UnsafeMutableRawPointer?
      ) -> Code
    )?

  /// Work that is described once and started as one.
  struct Graphs {
    let cuStreamBeginCapture: @convention(c) (Handle, UInt32) -> Code
    let cuStreamEndCapture: @convention(c) (Handle, Out<Handle?>) -> Code
    let cuGraphInstantiate: @convention(c) (Out<Handle?>, Handle, UInt64) -> Code
    let cuGraphLaunch: @convention(c) (Handle, Handle) -> Code
    let cuGraphDestroy: @convention(c) (Handle) -> Code
    let cuGraphExecDestroy: @convention(c) (Handle) -> Code

    /// nil where a driver lacks one of them.
    fileprivate init?(_ library: LoadedLibrary) {
      do {
        cuStreamBeginCapture = try library.function("cuStreamBeginCapture_v2")
        cuStreamEndCapture = try library.function("cuStreamEndCapture")
        cuGraphInstantiate = try library.function("cuGraphInstantiateWithFlags")
        cuGraphLaunch = try library.function("cuGraphLaunch")
        cuGraphDestroy = try library.function("cuGraphDestroy")
        cuGraphExecDestroy = try library.function("cuGraphExecDestroy")
      } catch { return nil }
    }
  }
  let graphs: Graphs?

  init(_ library: LoadedLibrary) throws {
    path = library.path
    graphs = Graphs(library)
    let cuDriverGetVersion: @convention(c) (Out<Int32>) -> Code = try library.function("cuDriverGetVersion")
    var number: Int32 = 0
    _ = cuDriverGetVersion(&number)
    version = Int(number)
    cuInit = try library.function("cuInit")
    cuGetErrorName = try library.function("cuGetErrorName")
    cuGetErrorString = try library.function("cuGetErrorString")
    cuDeviceGetCount = try library.function("cuDeviceGetCount")
    cuDeviceGet = try library.function("cuDeviceGet")
    cuDeviceGetName = try library.function("cuDeviceGetName")
    cuDeviceGetUuid = try library.optional("cuDeviceGetUuid_v2") ?? library.function("cuDeviceGetUuid")
    cuDeviceTotalMem = try library.function("cuDeviceTotalMem_v2")
    cuDeviceGetAttribute = try library.function("cuDeviceGetAttribute")
    cuDevicePrimaryCtxRetain = try library.function("cuDevicePrimaryCtxRetain")
    cuCtxSetCurrent = try library.function("cuCtxSetCurrent")
    cuMemGetInfo = try library.function("cuMemGetInfo_v2")
    cuMemAlloc = try library.function("cuMemAlloc_v2")
    cuMemFree = try library.function("cuMemFree_v2")
    cuMemHostAlloc = try library.function("cuMemHostAlloc")
    cuMemFreeHost = try library.function("cuMemFreeHost")
    cuMemHostGetDevicePointer = try library.function("cuMemHostGetDevicePointer_v2")
    cuMemHostRegister = try library.function("cuMemHostRegister_v2")
    cuMemHostUnregister = try library.function("cuMemHostUnregister")
    cuMemcpyDtoH = try library.function("cuMemcpyDtoH_v2")
    cuMemcpyAsync = try library.function("cuMemcpyAsync")
    cuMemsetD8Async = try library.function("cuMemsetD8Async")
    cuModuleLoadData = try library.function("cuModuleLoadData")
    cuModuleUnload = try library.function("cuModuleUnload")
    cuModuleGetFunction = try library.function("cuModuleGetFunction")
    cuModuleGetGlobal = try library.function("cuModuleGetGlobal_v2")
    cuFuncGetAttribute = try library.function("cuFuncGetAttribute")
    cuFuncSetAttribute = try library.function("cuFuncSetAttribute")
    cuStreamCreate = try library.function("cuStreamCreate")
    cuStreamDestroy = try library.function("cuStreamDestroy_v2")
    cuStreamSynchronize = try library.function("cuStreamSynchronize")
    cuStreamWaitValue64 = try library.function("cuStreamWaitValue64_v2")
    cuStreamWriteValue64 = try library.function("cuStreamWriteValue64_v2")
    cuEventCreate = try library.function("cuEventCreate")
    cuEventDestroy = try library.function("cuEventDestroy_v2")
    cuEventRecord = try library.function("cuEventRecord")
    cuEventQuery = try library.function("cuEventQuery")
    cuEventSynchronize = try library.function("cuEventSynchronize")
    cuEventElapsedTime = try library.function("cuEventElapsedTime")
    cuLaunchKernel = try library.function("cuLaunchKernel")
    cuLaunchKernelEx = library.optional("cuLaunchKernelEx")
  }

  /// "CUDA error 700 (CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered)"
  func describe(_ code: Code) -> String {
    var name: UnsafePointer<CChar>?
    var text: UnsafePointer<CChar>?
    guard cuGetErrorName(code, &name) == 0, cuGetErrorString(code, &text) == 0, let name, let text else {
      return "CUDA error \(code)"
    }
    return "CUDA error \(code) (\(String(cString: name)): \(String(cString: text)))"
  }

  /// Errors after which the context answers everything with the same error.
  static func isSticky(_ code: Code) -> Bool {
    switch code {
    case 4, 46, 201, 214, 220, 226, 700, 702, 709, 710, 714...719, 721, 911, 999: true
    default: false
    }
  }
}

/// Values of CUDA's enumerations that we use.
enum CU {
  static let notReady: Int32 = 600
  static let outOfMemory: Int32 = 2
  static let launchOutOfResources: Int32 = 701
  static let deinitialized: Int32 = 4

  enum Device {
    static let clockKilohertz: Int32 = 13
    static let multiprocessors: Int32 = 16
    static let integrated: Int32 = 18
    static let l2Bytes: Int32 = 38
    static let major: Int32 = 75
    static let minor: Int32 = 76
    static let sharedMemoryOptIn: Int32 = 97
    static let streamMemoryOperations64: Int32 = 122
  }
  enum Function {
    static let maxThreads: Int32 = 0
    static let virtualArchitecture: Int32 = 5
    static let sharedBytes: Int32 = 1
    static let maxDynamicShared: Int32 = 8
  }
  /// CU_MEMHOSTALLOC_PORTABLE | DEVICEMAP; the same bits mean the same to cuMemHostRegister.
  static let hostPortableMapped: UInt32 = 3
  static let streamNonBlocking: UInt32 = 1
  static let eventBlockingSync: UInt32 = 1
  static let waitAtLeast: UInt32 = 0
  static let captureRelaxed: UInt32 = 2
}
