// Which documents are pages of the site, in which order, and where.
import { readdirSync } from "node:fs";
import { join } from "node:path";

export const ROOT = join(import.meta.dirname, "../..");

/** Sections of the sidebar. */
export const SECTIONS = [
  {
    text: "Start",
    documents: [
      "README.md",
      "docs/start/search.md",
      "docs/start/language-model.md",
      "docs/start/layer.md",
      "docs/start/many-users.md",
    ],
  },
  {
    text: "Guides",
    documents: [
      ...["bundlers", "react", "next", "workers", "csp", "offline"].map((name) => `docs/guides/${name}.md`),
      ...["memory", "concurrency", "many-machines", "privacy", "changing-the-embedder"].map(
        (name) => `docs/guides/${name}.md`,
      ),
      "docs/evaluate.md",
      "docs/learning.md",
      "docs/guides/peft-and-llama-cpp.md",
      "docs/formats.md",
    ],
  },
  {
    text: "Concepts",
    documents: ["glossary", "two-speeds", "forgetting", "collateral", "rank"].map((name) => `docs/concepts/${name}.md`),
  },
  {
    text: "Packages",
    documents: readdirSync(join(ROOT, "packages")).map((name) => `packages/${name}/README.md`),
  },
  {
    text: "Facts",
    documents: ["docs/platforms.md", "docs/testing.md"],
  },
  {
    text: "Results",
    documents: [
      "docs/results.md",
      "docs/results/people.md",
      ...["emoji", "learning", "onnx-learning", "onnx-speed", "onnx-corpus"].map((name) => `docs/results/${name}.md`),
      ...["service", "faults", "determinism", "remember"].map((name) => `docs/results/${name}.md`),
      "bench/results/speed.md",
      "bench/README.md",
    ],
  },
  {
    text: "The project",
    documents: ["ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/README.md", "docs/decisions/README.md"],
  },
];

/** Pages that the sidebar does not list one by one. */
const UNLISTED = [
  ...readdirSync(join(ROOT, "docs/decisions")).map((name) => `docs/decisions/${name}`),
  "bench/learning/README.md",
];

/** Every document that is a page. */
export const DOCUMENTS = [...new Set([...SECTIONS.flatMap(({ documents }) => documents), ...UNLISTED])];

const PLACES = { "README.md": "index.md", "docs/README.md": "contents.md" };

/** Where the page of a document lies in the site. */
export function placeOf(document) {
  if (PLACES[document] !== undefined) return PLACES[document];
  const place = document
    .replace(/^docs\//, "")
    .replace(/^bench\/results\//, "results/kernel-")
    .replace(/^bench\/README\.md$/, "results/benchmarks.md")
    .replace(/^(packages\/[^/]+)\/README\.md$/, "$1.md")
    .replace(/README\.md$/, "index.md");
  return place.includes("/") ? place : place.toLowerCase();
}
