import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { faultOf } from "../lib/checks.mjs";
import { Project } from "../lib/project.mjs";

const SCALAR = { kernels: /^scalar$/ };

/** Cloudflare Workers, in workerd itself: weights as code, as an asset, and a Durable Object that goes on after a restart. */
export async function run({ tarballs, check }) {
  const project = Project.install("workers", tarballs);
  // wrangler wants a newer Node than the packages do.
  project.useNode("node-22");
  rmSync(project.path(".wrangler"), { recursive: true, force: true });
  mkdirSync(project.path("assets"), { recursive: true });
  const weights = "minilm-static-256.bin";
  copyFileSync(project.path("node_modules/@microlora/embed/weights", weights), project.path("assets", weights));
  const versions = `${project.version("wrangler")}, ${project.version("workerd")}`;
  const start = () =>
    project.start("wrangler", ["dev", "--ip", "127.0.0.1", "--port", "0", "--show-interactive-dev-session=false"], {
      env: { WRANGLER_SEND_METRICS: "false" },
      pattern: /Ready on (http:\/\/[\w.]+:\d+)/,
    });

  const server = await start();
  const ask = async (path, { origin } = server) => (await fetch(`${origin}${path}`)).json();
  try {
    await check(`${versions}, weights as code`, async () =>
      faultOf(await ask("/inline"), { ...SCALAR, dimensions: 128 }),
    );
    await check(`${versions}, weights as a static asset`, async () => faultOf(await ask("/assets"), SCALAR));
    await check(`${versions}, without weights: says what to do`, async () => {
      const { error } = await ask("/nothing");
      return error?.code === "weights-unavailable" && error.message.includes("/inline")
        ? undefined
        : JSON.stringify(error);
    });
    await check(`${versions}, Durable Object, first click`, async () => {
      const { before, after, error } = await ask("/durable-object");
      return before > 1 && after === 1 ? undefined : `from ${before} to ${after} ${JSON.stringify(error ?? "")}`;
    });
  } finally {
    server.stop();
  }

  const again = await start();
  try {
    await check(`${versions}, Durable Object, after a restart`, async () => {
      const { before, error } = await ask("/durable-object", again);
      return before === 1 ? undefined : `the document is at ${before} ${JSON.stringify(error ?? "")}`;
    });
  } finally {
    again.stop();
  }
}
