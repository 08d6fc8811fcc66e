import Threading

/// A program that runs to its end, without a shell.
enum ChildProcess {
  struct Result {
    /// As a shell has it: 128 and more for a signal.
    var status: Int32
    /// What it wrote to stdout and stderr.
    var output: String
  }

  /// Its output goes through a file of the given path: the end of a pipe could leak into another child, and
  /// stay open. Throws `EngineError` when it does not start.
  static func run(_ path: String, _ arguments: [String], log: String) throws -> Result {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    posix_spawn_file_actions_addclosefrom_np(&actions, 3)
    defer { unlink(log) }
    // The host's files are not the compiler's business, nor are the signals that it blocks or ignores: one that
    // ignores the end of children could not wait for its linker.
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    var all = sigset_t()
    sigfillset(&all)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

    var pid: pid_t = 0
    var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    let code = posix_spawn(&pid, path, &actions, &attributes, &words, environ)
    guard code == 0 else { throw EngineError.failed("Cannot start \(path): \(String(cString: strerror(code)))") }
    var status: Int32 = 0
    while waitpid(pid, &status, 0) < 0 {
      // Where the host ignores the end of its children, only the files tell what became of this one.
      if errno != EINTR { return Result(status: 0, output: contents(log)) }
    }
    let signal = status & 0x7f
    return Result(status: signal == 0 ? status >> 8 & 0xff : 128 + signal, output: contents(log))
  }

  private static func contents(_ path: String) -> String { String(decoding: readFile(path) ?? [], as: UTF8.self) }
}
