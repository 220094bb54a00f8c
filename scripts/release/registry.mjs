import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { basename } from "node:path";

/**
 * A registry on this machine that has packed packages as if they were published, and sends to another one for the rest.
 * @param packed as `packInto` returns them, with their manifests
 * @param upstream address of the registry that has everything else
 * @returns its address, and `stop`
 */
export async function startRegistry(packed, upstream) {
  const packages = new Map(packed.map((each) => [each.name, each]));
  const files = new Map(packed.map(({ tarball }) => [basename(tarball), tarball]));
  let address;
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url.slice(1).split("?")[0]);
    const file = files.get(basename(path));
    const found = packages.get(path);
    if (file !== undefined) response.end(readFileSync(file));
    else if (found !== undefined)
      response.setHeader("content-type", "application/json").end(JSON.stringify(documentOf(found, address)));
    else response.writeHead(307, { location: new URL(request.url.slice(1), upstream).href }).end();
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  address = `http://127.0.0.1:${server.address().port}/`;
  return { address, stop: () => server.close() };
}

/** What a registry says of a package (docs/responses/package-metadata.md of npm/registry). */
function documentOf({ name, version, tarball, manifest }, address) {
  const bytes = readFileSync(tarball);
  const dist = {
    tarball: `${address}${basename(tarball)}`,
    integrity: `sha512-${createHash("sha512").update(bytes).digest("base64")}`,
    shasum: createHash("sha1").update(bytes).digest("hex"),
  };
  return { name, "dist-tags": { latest: version }, versions: { [version]: { ...manifest, dist } } };
}
