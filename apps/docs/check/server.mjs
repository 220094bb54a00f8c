import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { fileOf } from "./links.mjs";

const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".txt": "text/plain",
};

/** Serves the built site on a port of its own. */
export async function serve(site) {
  const server = createServer((request, response) => {
    const file = fileOf(site, decodeURIComponent(new URL(request.url, "http://site").pathname));
    response.writeHead(file === undefined ? 404 : 200, {
      "content-type": TYPES[extname(file ?? "")] ?? "application/octet-stream",
    });
    response.end(file === undefined ? "" : readFileSync(join(site, file)));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { origin: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}
