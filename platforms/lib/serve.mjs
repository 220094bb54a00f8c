import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

const TYPES = {
  ".bin": "application/octet-stream",
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".mjs": "text/javascript",
  ".onnx": "application/octet-stream",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".webmanifest": "application/manifest+json",
};

/**
 * Serves a folder. @param folder where the files lie
 * @param options headers of every answer; host to listen on; whether an unknown address gives index.html, as single-page servers do
 * @returns its port, the paths that were asked for, and `stop`
 */
export async function serve(folder, { headers = {}, isSinglePage = false } = {}) {
  const asked = [];
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url, "http://localhost");
    asked.push(pathname);
    const path = normalize(pathname.endsWith("/") ? `${pathname}index.html` : pathname);
    const found = await readFile(join(folder, path)).catch(() => undefined);
    const body = found ?? (isSinglePage ? await readFile(join(folder, "index.html")) : undefined);
    const type = TYPES[found === undefined ? ".html" : extname(path)] ?? "application/octet-stream";
    response.writeHead(body === undefined ? 404 : 200, {
      "content-type": type,
      "cache-control": "no-store",
      ...headers,
    });
    response.end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const stop = () => {
    server.closeAllConnections();
    server.close();
  };
  const { port } = server.address();
  return { port, origin: `http://127.0.0.1:${port}`, asked, stop };
}
