import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, posix } from "node:path";

/** Every page of the built site, by its path. */
export function pagesOf(site) {
  return readdirSync(site, { recursive: true })
    .filter((path) => path.endsWith(".html") && path !== "404.html")
    .sort();
}

/** Links of the built pages that lead to no file or to no heading. */
export function brokenLinks(site, pages) {
  const ids = new Map();
  const idsOf = (page) => {
    if (!ids.has(page)) {
      const html = readFileSync(join(site, page), "utf8");
      ids.set(page, new Set([...html.matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id)));
    }
    return ids.get(page);
  };
  return pages.flatMap((page) => {
    const links = [...readFileSync(join(site, page), "utf8").matchAll(/\s(?:href|src)="([^"]+)"/g)].map(
      ([, link]) => link,
    );
    return [...new Set(links)]
      .filter((link) => !leadsSomewhere(site, page, link, idsOf))
      .map((link) => `${page}: ${link}`);
  });
}

function leadsSomewhere(site, page, link, idsOf) {
  if (/^(https?:|data:|mailto:)/.test(link)) return true;
  const { pathname, hash } = new URL(link.replaceAll("&amp;", "&"), `http://site/${page}`);
  const file = fileOf(site, decodeURIComponent(pathname));
  if (file === undefined) return false;
  return hash === "" || !file.endsWith(".html") || idsOf(file).has(decodeURIComponent(hash.slice(1)));
}

/** The file that a server would give for a path; undefined for none. */
export function fileOf(site, pathname) {
  const path = posix.normalize(pathname).slice(1);
  const candidates = [path, `${path}.html`, posix.join(path, "index.html")];
  return candidates.find((each) => existsSync(join(site, each)) && statSync(join(site, each)).isFile());
}
