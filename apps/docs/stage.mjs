// Writes the site's Markdown: each document where its page lies, its links turned to pages, and pages for the source files that it names.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, extname, join, posix } from "node:path";
import { countsTable } from "./counts.mjs";
import { DOCUMENTS, placeOf, ROOT } from "./pages.mjs";

const LINK = /(!?)\[((?:[^[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)/g;
const LANGUAGES = { ".ts": "ts", ".mjs": "js", ".py": "python", ".sh": "sh", ".json": "json", ".txt": "txt" };
const IMAGES = new Set([".svg", ".png"]);

/** The site's content, as it is written. */
class Stage {
  #out;
  /** Links that lead nowhere. */
  dead = [];
  /** Source files that were named, which get a page each. */
  #sources = new Map();

  constructor(out) {
    this.#out = out;
  }

  write(place, text) {
    const path = join(this.#out, place);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }

  /** A document, with its links turned. */
  stage(document) {
    const text = readFileSync(join(ROOT, document), "utf8").replace("<!-- counts -->", () => countsTable());
    this.write(
      placeOf(document),
      outsideFences(text, (part) => this.#turnLinks(part, document)),
    );
  }

  /** Pages of source files that documents name, and of those that these name. */
  stageSources() {
    for (const [source, place] of this.#sources) {
      const language = LANGUAGES[extname(source)];
      const code = readFileSync(join(ROOT, source), "utf8");
      this.write(place, `# ${source}\n\n\`\`\`\`${language}\n${code}\n\`\`\`\`\n`);
    }
    const examples = [...this.#sources].filter(([source]) => source.startsWith("examples/"));
    const list = examples.map(([source, place]) => `- [${source.slice(9)}](/${place})`);
    this.write(
      "examples/index.md",
      `# Examples\n\nShort programs, each of which runs as a test.\n\n${list.join("\n")}\n`,
    );
  }

  #turnLinks(text, document) {
    return text.replace(LINK, (whole, bang, label, target) => {
      if (/^(https?:|mailto:|#)/.test(target)) return whole;
      const [path, hash] = target.split("#");
      const found = posix.normalize(posix.join(posix.dirname(document), path)).replace(/\/$/, "");
      const turned = bang === "!" ? this.#image(found) : this.#page(found);
      if (turned === undefined) this.dead.push(`${document}: ${target}`);
      if (turned === null || turned === undefined) return label;
      return `${bang}[${label}](${turned}${hash === undefined ? "" : `#${hash}`})`;
    });
  }

  #image(path) {
    if (!existsSync(join(ROOT, path)) || !IMAGES.has(extname(path))) return undefined;
    cpSync(join(ROOT, path), join(this.#out, "public", path), { recursive: true });
    return `/${path}`;
  }

  /** Where a path of the repository is on the site; null for what has no page, undefined for what is not there. */
  #page(path) {
    if (!existsSync(join(ROOT, path))) return undefined;
    if (DOCUMENTS.includes(path)) return `/${placeOf(path)}`;
    if (path === "examples") return "/examples/index.md";
    if (statSync(join(ROOT, path)).isDirectory()) {
      return DOCUMENTS.includes(`${path}/README.md`) ? `/${placeOf(`${path}/README.md`)}` : null;
    }
    if (LANGUAGES[extname(path)] === undefined) return null;
    const place = `${path.startsWith("examples/") ? "" : "source/"}${path}.md`;
    this.#sources.set(path, place);
    return `/${place}`;
  }

  /** Names a source file, so that it gets a page. */
  addSource(path) {
    this.#page(path);
  }
}

/** Text with its parts outside of fenced blocks changed. */
function outsideFences(text, change) {
  return text
    .split(/(^```[^\n]*\n.*?^```$)/gms)
    .map((part, i) => (i % 2 === 1 ? part : change(part)))
    .join("");
}

/** Writes the content of the site into a folder. @throws Error that lists links which lead nowhere */
export function stage(out) {
  const content = new Stage(out);
  for (const document of DOCUMENTS) content.stage(document);
  for (const name of readdirSync(join(ROOT, "examples")).filter((each) => /(?<!\.test)\.ts$/.test(each))) {
    content.addSource(`examples/${name}`);
  }
  content.stageSources();
  if (content.dead.length > 0) throw new Error(`links that lead nowhere:\n${content.dead.join("\n")}`);
}
