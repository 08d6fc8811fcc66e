public final class Mutex: @unchecked Sendable {
  @usableFromInline let raw = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  public init() { pthread_mutex_init(raw, nil) }
  deinit {
    pthread_mutex_destroy(raw)
    raw.deallocate()
  }
  @inlinable public func acquire() { pthread_mutex_lock(raw) }
  @inlinable public func tryAcquire() -> Bool { pthread_mutex_trylock(raw) == 0 }
  @inlinable public func release() { pthread_mutex_unlock(raw) }
  @inlinable public func holding<T>(_ body: () throws -> T) rethrows -> T {
    acquire()
    defer { release() }
    return try body()
  }
}

public final class Condition: @unchecked Sendable {
  @usableFromInline let raw = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  public init() { pthread_cond_init(raw, nil) }
  deinit {
    pthread_cond_destroy(raw)
    raw.deallocate()
  }
  @inlinable public func wait(_ mutex: Mutex) { pthread_cond_wait(raw, mutex.raw) }
  @inlinable public func wakeAll() { pthread_cond_broadcast(raw) }
}

/// Many readers or one writer: searches of a store run together, changes alone.
public final class ReadWriteLock: @unchecked Sendable {
  @usableFromInline let raw = UnsafeMutablePointer<pthread_rwlock_t>.allocate(capacity: 1)
  public init() { pthread_rwlock_init(raw, nil) }
  deinit {
    pthread_rwlock_destroy(raw)
    raw.deallocate()
  }
  @inlinable public func reading<T>(_ body: () throws -> T) rethrows -> T {
    pthread_rwlock_rdlock(raw)
    defer { pthread_rwlock_unlock(raw) }
    return try body()
  }
  @inlinable public func writing<T>(_ body: () throws -> T) rethrows -> T {
    pthread_rwlock_wrlock(raw)
    defer { pthread_rwlock_unlock(raw) }
    return try body()
  }
}
