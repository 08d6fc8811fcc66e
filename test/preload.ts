/**
 * Opens the native library before the tests: the resource sanitizer would blame the first
 * test that uses it.
 *
 * @module
 */

import { library } from "../ffi/library.ts";

try {
  library();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
}
