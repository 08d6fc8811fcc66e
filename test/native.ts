/** Whether the tests of the native library can run. @module */

import { library } from "../ffi/library.ts";

/** True where the library opens. In CI it must: its tests are never left out there. */
export const isNative: boolean = (() => {
  try {
    library();
    return true;
  } catch (error) {
    if (Deno.env.get("CI")) throw error;
    return false;
  }
})();
