/**
 * The errors that are neither a value out of range (`RangeError`) nor a wrong shape or
 * type (`TypeError`).
 *
 * @module
 */

/** A file that is truncated, damaged, hostile or of an unknown kind. */
export class FormatError extends Error {
  /** Name of the class. */
  override name = "FormatError";
  /** The file, where it is known. */
  readonly path: string | undefined;

  /**
   * Says what is wrong with a file.
   *
   * @param message What is wrong with it.
   * @param options `path` of the file, and `cause`.
   */
  constructor(message: string, options: ErrorOptions & { path?: string | undefined } = {}) {
    super(message, options);
    this.path = options.path;
  }
}

/** The object was disposed of. */
export class DisposedError extends Error {
  /** Name of the class. */
  override name = "DisposedError";
}

/** A device or the native library is missing or failed. */
export class DeviceError extends Error {
  /** Name of the class. */
  override name = "DeviceError";
}

/** A kernel that does not compile. */
export class CompileError extends Error {
  /** Name of the class. */
  override name = "CompileError";
  /** All that the compiler said; its lines are `file:line:column: error: …`. */
  readonly log: string;

  /**
   * Says why a kernel does not compile.
   *
   * @param message The first error.
   * @param log All that the compiler said.
   */
  constructor(message: string, log: string = message) {
    super(message);
    this.log = log;
  }
}

/** An allocation was refused. */
export class OutOfMemoryError extends Error {
  /** Name of the class. */
  override name = "OutOfMemoryError";
}

/** The index has to be trained first. */
export class NotTrainedError extends Error {
  /** Name of the class. */
  override name = "NotTrainedError";
}

/** A real operation that this index cannot do, like `addWithIds` on a flat one. */
export class UnsupportedError extends Error {
  /** Name of the class. */
  override name = "UnsupportedError";
}
