/**
 * A browser for tests of pages: headless Chromium.
 *
 * @module
 */

import { delimiter, join } from "node:path";
import { type Browser, launch } from "npm:puppeteer-core@25.16.0";

export type { Browser, Page } from "npm:puppeteer-core@25.16.0";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const MAC = ["Google Chrome", "Chromium"].map((name) =>
  `/Applications/${name}.app/Contents/MacOS/${name}`
);

/** Path of Chromium: what `CHROMIUM` names, else what is on the path, else where macOS has it. */
async function findChromium(): Promise<string> {
  const wanted = Deno.env.get("CHROMIUM");
  const folders = (Deno.env.get("PATH") ?? "").split(delimiter);
  const found = NAMES.flatMap((name) => folders.map((folder) => join(folder, name)));
  for (const path of wanted ? [wanted] : [...found, ...MAC]) {
    if (await Deno.stat(path).then(({ isFile }) => isFile, () => false)) return path;
  }
  throw new Deno.errors.NotFound(
    wanted
      ? `Cannot open pages: CHROMIUM names ${wanted}, which is not there`
      : "Cannot open pages: Chromium is missing. Install it (Debian: apt-get install chromium; " +
        "macOS: brew install --cask chromium), or say in CHROMIUM where it is",
  );
}

/** Starts Chromium, without a network but this machine. Close it. */
export async function openBrowser(): Promise<Browser> {
  return await launch({
    executablePath: await findChromium(),
    // A pipe: no port to find, and none left open.
    pipe: true,
    // Scroll bars take room, as on screens.
    ignoreDefaultArgs: ["--hide-scrollbars"],
    // Root and containers have no sandbox; the pages are ours.
    args: [
      "--no-sandbox",
      "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    ],
  });
}
