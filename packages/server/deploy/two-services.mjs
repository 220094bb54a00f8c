/**
 * Two services over one PostgreSQL, and a click made at one that shows at the other: node packages/server/deploy/two-services.mjs [postgres://…]
 * Without an address it starts a PostgreSQL of its own, from the programs of this machine, and removes it again.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startService } from "@microlora/server";
import { Cluster, POSTGRES_PROGRAMS } from "../../store/cluster/cluster.mjs";

if (process.argv[2] === undefined && POSTGRES_PROGRAMS === undefined) {
  console.error(
    "There is no PostgreSQL here: apt-get install postgresql, or pass postgres://user:password@host/database",
  );
  process.exit(1);
}
const cluster = process.argv[2] === undefined ? await Cluster.start() : null;
const database = process.argv[2] ?? cluster.url;
const data = mkdtempSync(join(tmpdir(), "microlora-two-"));

async function call(service, method, path, body) {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(service.url + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

const options = { database, port: 0, logLevel: "silent" };
const [one, other] = await Promise.all(
  ["one", "other"].map((name) => startService({ ...options, data: join(data, name) })),
);
try {
  console.log(`one:   ${one.url}\nother: ${other.url}\n`);
  const texts = ["orange juice", "orange phone case", "apple pie"];
  const documents = texts.map((text) => ({ id: text, text }));
  await call(one, "PUT", "/v1/indexes/shop/documents", { documents });
  const search = async (service) => {
    const { hits } = await call(service, "POST", "/v1/indexes/shop/search", { query: "orange", user: "ann", limit: 3 });
    return hits.map(({ id }) => id);
  };
  console.log("ann searches for orange at the other:", await search(other));
  const click = {
    id: "click-1",
    user: "ann",
    index: "shop",
    query: "orange",
    shown: texts,
    chosen: "orange phone case",
  };
  const { results } = await call(one, "POST", "/v1/feedback", click);
  console.log("ann picks the phone case at one:     ", results[0].status);
  // A service looks for the clicks of others once a second.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  console.log("ann searches again at the other:     ", await search(other));
} finally {
  await Promise.all([one.close(), other.close()]);
  cluster?.remove();
  rmSync(data, { recursive: true });
}
