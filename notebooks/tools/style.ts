/**
 * How pages look.
 *
 * @module
 */

/** The style sheet of all pages: light and dark, narrow and wide, without fonts of its own. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #ffffff; --card: #ffffff; --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --code: #f6f8fa;
  --link: #0757b8; --good: #116329; --bad: #b3261e; --warn: #7d4e00; --warn-page: #fff8e5;
  --bad-page: #fff0ef;
  --keyword: #b3202c; --string: #0a3069; --number: #0550ae; --name: #6639ba; --type: #8a3d00;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0d1117; --card: #161b22; --ink: #e3e9ef; --soft: #9aa6b2; --line: #333c47; --code: #161b22;
    --link: #79b8ff; --good: #5fce7f; --bad: #ff9a92; --warn: #e3b341; --warn-page: #272115;
    --bad-page: #2d1a1c;
    --keyword: #ff8b83; --string: #a5d6ff; --number: #79c0ff; --name: #d2a8ff; --type: #ffb470;
  }
}
*, *::before, *::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; scroll-padding-top: 1rem; }
body {
  margin: 0 auto; padding: 1rem 1.25rem 4rem; max-width: 62.5rem;
  background: var(--page); color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: break-word;
}
a { color: var(--link); text-underline-offset: 0.15em; }
h1, h2, h3, h4 { line-height: 1.25; text-wrap: balance; margin: 2.25rem 0 0.75rem; }
h1 { font-size: 2rem; margin-top: 1rem; letter-spacing: -0.01em; }
h2 { font-size: 1.45rem; padding-top: 0.5rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.15rem; }
h4 { font-size: 1rem; }
p, ul, ol, blockquote { margin: 0.75rem 0; }
.prose > p, .prose > ul, .prose > ol, .prose > blockquote { max-width: 46rem; }
li + li { margin-top: 0.2rem; }
blockquote { padding-left: 1rem; border-left: 0.25rem solid var(--line); color: var(--soft); }
img { max-width: 100%; height: auto; }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code { font-size: 0.875em; padding: 0.1em 0.3em; border-radius: 4px; background: var(--code); }
pre {
  margin: 0; padding: 0.75rem 1rem; overflow-x: auto; tab-size: 2;
  font-size: 0.8125rem; line-height: 1.5;
}
pre code { font-size: inherit; padding: 0; background: none; }
.prose pre, .cell > pre { background: var(--code); border: 1px solid var(--line); border-radius: 8px; }
.cell { margin: 1.25rem 0; }
.output { margin-top: 0.75rem; }
.output > pre { padding: 0 1rem; }
.output > pre.stderr, .output > pre.error { padding: 0.75rem 1rem; border-radius: 8px; }
.output > pre.stderr { background: var(--warn-page); }
.output > pre.error { background: var(--bad-page); color: var(--bad); }
.output img { display: block; border: 1px solid var(--line); border-radius: 8px; }
@media (max-width: 40rem) {
  .output img { max-width: none; }
  .output .html { overflow-x: auto; }
}
.scroll { overflow-x: auto; margin: 0.75rem 0; }
.output .scroll { margin-right: calc(50% - 50vw + 1.25rem); }
.output table { font-size: 0.8125rem; }
table {
  border-collapse: collapse; font-size: 0.875rem; line-height: 1.45; font-variant-numeric: tabular-nums;
}
caption { width: max-content; max-width: min(46rem, 100vw - 2.5rem); text-align: left; padding: 0 0 0.4rem; color: var(--soft); }
th, td { padding: 0.3rem 0.65rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 600; }
thead th { vertical-align: bottom; }
td.short, td[align="right"], td[style*="right"] { white-space: nowrap; }
td.middle { min-width: 8rem; }
td.long { min-width: 12rem; }
tbody tr:last-child > * { border-bottom: 0; }
.pages { display: flex; flex-wrap: wrap; gap: 0.25rem 1.5rem; padding: 0.5rem 0; }
.pages [rel="next"] { margin-left: auto; }
main + .pages { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1rem; }
.contents { font-size: 0.9rem; margin: 1.5rem 0; }
.contents h2 { font-size: 0.9rem; margin: 0; padding: 0; border: 0; color: var(--soft); }
.contents ul { list-style: none; margin: 0.35rem 0; padding: 0; }
.contents .depth-3 { padding-left: 1rem; }
@media (min-width: 84rem) {
  body { max-width: 80rem; }
  main.listed { display: grid; grid-template-columns: 14.5rem minmax(0, 62.5rem); column-gap: 3rem; }
  main.listed > * { grid-column: 2; }
  main.listed .output .scroll { margin-right: calc((80rem - 100vw) / 2); }
  main.listed > .contents {
    grid-column: 1; grid-row: 1 / 3; align-self: start; position: sticky; top: 1.5rem;
    max-height: calc(100vh - 3rem); overflow-y: auto; margin-top: 1.35rem;
  }
}
.cards {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(18rem, 100%), 1fr)); gap: 1.25rem;
  list-style: none; margin: 1.5rem 0 2.5rem; padding: 0;
}
.card {
  position: relative; display: flex; flex-direction: column; margin: 0; padding: 0 1rem 1rem;
  overflow: hidden; border: 1px solid var(--line); border-radius: 10px;
}
.card:hover { border-color: var(--link); }
.card h2 { font-size: 1.1rem; margin: 1rem 0 0; padding: 0; border: 0; }
.card h2 .number { color: var(--soft); font-variant-numeric: tabular-nums; font-weight: 400; }
.card h2 a { text-decoration: none; }
.card h2 a::after { content: ""; position: absolute; inset: 0; }
.card p { font-size: 0.9rem; line-height: 1.5; margin: 0.5rem 0 0; }
.card .lead { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 6; overflow: hidden; }
.card .device { color: var(--soft); margin-top: auto; padding-top: 0.75rem; font-size: 0.8125rem; }
.thumbnail { margin: 0 -1rem; border-bottom: 1px solid var(--line); background: var(--card); }
.thumbnail img { display: block; width: 100%; height: 10.5rem; object-fit: contain; }
.outcome { font-size: 0.8125rem; font-weight: 600; white-space: nowrap; margin-right: 0.5rem; }
.outcome.good { color: var(--good); }
.outcome.bad { color: var(--bad); }
.outcome.open { color: var(--warn); }
td.number, th.number { text-align: right; }
.hljs-comment, .hljs-quote { color: var(--soft); }
.hljs-keyword, .hljs-meta, .hljs-operator, .hljs-literal { color: var(--keyword); }
.hljs-string, .hljs-regexp, .hljs-char { color: var(--string); }
.hljs-number, .hljs-attr, .hljs-symbol, .hljs-variable, .hljs-property { color: var(--number); }
.hljs-title, .hljs-section { color: var(--name); }
.hljs-type, .hljs-built_in, .hljs-class .hljs-title { color: var(--type); }
.hljs-subst, .hljs-params { color: inherit; }
`;
