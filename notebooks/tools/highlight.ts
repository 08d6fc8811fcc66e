/**
 * Code in colours.
 *
 * @module
 */

import hljs from "npm:highlight.js@11.12.0/lib/core";
import cpp from "npm:highlight.js@11.12.0/lib/languages/cpp";
import json from "npm:highlight.js@11.12.0/lib/languages/json";
import shell from "npm:highlight.js@11.12.0/lib/languages/bash";
import typescript from "npm:highlight.js@11.12.0/lib/languages/typescript";
import { escapeHtml } from "../../lib/display_cells.ts";

/** A template string that holds Metal: words that TypeScript's own templates do not have. */
const METAL = /`(?=[^`]*(?:\[\[|metal_stdlib|\bthreadgroup\b|\bthread_position|\bsimd_|\buint\b))/;
const SPACES = ["kernel", "device", "constant", "threadgroup", "thread"];
const VECTORS =
  /\b(?:uint|ushort|uchar|ulong|half|(?:u?(?:char|short|int|long)|half|float|bool)[2-4](?:x[2-4])?)\b/;

const languages = hljs.newInstance();
languages.registerLanguage("metal", (api) => {
  const language = cpp(api);
  const keywords = language.keywords as Record<string, string[]>;
  return {
    ...language,
    aliases: ["msl", "cpp", "c"],
    keywords: { ...keywords, keyword: [...keywords.keyword ?? [], ...SPACES] },
    contains: [{ className: "type", begin: VECTORS }, ...language.contains],
  };
});
languages.registerLanguage("json", json);
languages.registerLanguage("sh", shell);
languages.registerLanguage("typescript", (api) => {
  const language = typescript(api);
  const metal = {
    begin: METAL,
    end: /`/,
    excludeBegin: true,
    excludeEnd: true,
    subLanguage: "metal",
  };
  return { ...language, contains: [metal, ...language.contains] };
});

/**
 * Code as HTML, with spans of classes `hljs-…`; Metal in template strings is coloured as Metal.
 *
 * @param code The code.
 * @param language Its name; code in a language that is not known stays plain.
 */
export function highlight(code: string, language: string): string {
  if (languages.getLanguage(language) === undefined) return escapeHtml(code);
  return languages.highlight(code, { language, ignoreIllegals: true }).value;
}
