// The settings of the site.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { defineConfig } from "vitepress";
import { placeOf, ROOT, SECTIONS } from "./pages.mjs";
import { titleOf } from "./text.mjs";

const HERE = import.meta.dirname;
const REFERENCE = join(HERE, "dist/content/reference");

const ICON =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><path fill="#b4522d" d="M4 4h7v24H4zM14 16h14v5H14z"/></svg>';

const linkOf = (document) =>
  `/${placeOf(document)
    .replace(/(^|\/)index\.md$/, "$1")
    .replace(/\.md$/, "")}`;
const item = (document) => ({ text: shortTitleOf(document), link: linkOf(document) });

function shortTitleOf(document) {
  if (document === "README.md") return "Overview";
  if (document === "docs/README.md") return "All documents";
  return titleOf(readFileSync(join(ROOT, document), "utf8"));
}

/** The entry points of the packages, each with the kinds of names that it exports. */
function referenceItems(folder = REFERENCE, path = "/reference/") {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) => {
      const [at, link] = [join(folder, name), `${path}${name}/`];
      const below = referenceItems(at, link);
      return existsSync(join(at, "index.md")) ? [{ text: link.slice(11, -1), link }, ...below] : below;
    })
    .sort((a, b) => a.text.replace("@", "").localeCompare(b.text.replace("@", "")));
}

/** Guides before the many pages of the reference. VitePress writes this into the page, so it may name nothing else of this file. */
const SEARCH = {
  fuzzy: 0.2,
  prefix: true,
  boost: { title: 4, text: 2, titles: 1 },
  boostDocument: (id) => (/\/(reference|source|decisions)\//.test(id) ? 0.2 : 1),
};

const guides = SECTIONS.map(({ text, documents }) => ({
  text,
  items: documents.map(item),
}));

export default defineConfig({
  title: "MicroLoRA",
  description: "Search and language models that learn from each user, one click at a time, on the user's side.",
  lang: "en",
  base: process.env.DOCS_BASE ?? "/",
  outDir: join(HERE, "dist/site"),
  cacheDir: join(HERE, "dist/cache"),
  metaChunk: true,
  head: [["link", { rel: "icon", href: `data:image/svg+xml,${encodeURIComponent(ICON)}` }]],
  markdown: {
    theme: { light: "github-light-high-contrast", dark: "github-dark-high-contrast" },
    config: (markdown) => makeTablesReachable(markdown),
  },
  themeConfig: {
    search: { provider: "local", options: { miniSearch: { searchOptions: SEARCH } } },
    outline: { level: [2, 3] },
    nav: [
      { text: "Start", link: "/start/search" },
      { text: "Guides", link: "/guides/bundlers" },
      { text: "Concepts", link: "/concepts/glossary" },
      { text: "Reference", link: "/reference/" },
      { text: "Testing", link: "/testing" },
      { text: "Results", link: "/results" },
    ],
    sidebar: { "/reference/": [{ text: "Reference", link: "/reference/", items: referenceItems() }], "/": guides },
  },
});

/** A table that scrolls sideways has to be reachable by keyboard, and a cell without text is not a heading. */
function makeTablesReachable(markdown) {
  markdown.renderer.rules.table_open = () => '<table tabindex="0">\n';
  markdown.core.ruler.push("empty headings", ({ tokens }) => {
    for (const [i, token] of tokens.entries()) {
      if (token.type !== "th_open" || tokens[i + 1].content !== "") continue;
      token.tag = "td";
      tokens[i + 2].tag = "td";
    }
  });
}
