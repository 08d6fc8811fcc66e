import assert from "node:assert/strict";
import { onGpu } from "./gpu.ts";

Deno.test(
  "a kernel that writes anywhere leaves the process and the CPU's copy alive",
  onGpu,
  async () => {
    const script = new URL("./losing_gpu.ts", import.meta.url).pathname;
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-lock", script],
    }).output();
    const text = new TextDecoder();
    assert.equal(code, 0, text.decode(stderr));
    const report = JSON.parse(text.decode(stdout));
    assert.equal(report.before, 1);
    assert.equal(report.fault.error, "DeviceError", JSON.stringify(report));
    assert.equal(report.cpu, 1);
    if (report.engine === "emulator") {
      // Only that command buffer failed.
      assert.match(report.fault.message, /wild.* writes 4 bytes/);
      assert.deepEqual([report.after, report.again], [1, 1]);
    } else {
      assert.equal(report.after.error, "DeviceError", JSON.stringify(report));
      assert.equal(report.again.error, "DeviceError", JSON.stringify(report));
    }
  },
);
