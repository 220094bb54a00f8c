import { parseArgs } from "node:util";
import { startService } from "@microlora/server";
import { loadOnnxruntime } from "../chat/onnxruntime.js";
import type { Terminal } from "../terminal.js";
import { parsed, UsageError } from "../usage-error.js";
import { flagOf, SETTINGS, settingsOf } from "./settings.js";

export const SERVE_USAGE = `Usage: microlora serve [--data FOLDER] [--documents FILE] [--model MODEL] [--config FILE] [SETTINGS]

Embeddings, search and feedback over HTTP, learned per user and kept in a folder. OpenAI's clients work with it:
baseURL http://127.0.0.1:8080/v1, model "microlora:USER". GET /openapi.json lists all routes; / shows its state.

--data FOLDER               users, documents, keys (default "./users"); it is made if it is not there
--database URL              users and documents in PostgreSQL, which several services may share, in place of the folder:
                            postgres://user:password@host:5432/database; needs "npm install pg"
--documents FILE            a text on each line, or NDJSON of { id, text | vector, payload? }, put into the index
                            "documents" once
--model MODEL               a language model for /v1/chat/completions: a GGUF file, or a folder with an ONNX file
--host ADDRESS              default 127.0.0.1; any other needs keys ("microlora keys --help")
--jwt-issuer ISSUER         JSON Web Tokens of an issuer in place of keys, with the claims "tenant" and "scope"
--jwt-audience AUDIENCE     what they are made out to
--jwt-keys URL|FILE         the issuer's key set (JWKS)
--traces opentelemetry      a span for each request, by the SDK of "node --import"; needs "npm install @opentelemetry/api"
--port PORT                 default 8080
--log-level LEVEL           debug, info (default), warn, error, silent; no level logs texts or users
--user-bytes BYTES          memory for users in use (default 536870912)
--index-bytes BYTES         memory for indexes in use (default 536870912)
--shown-minutes MINUTES     how long feedback may name a search by its request_id (default 60)
--shown-bytes BYTES         memory for such searches (default 67108864)
--requests-per-minute N     of one key (default 600000)
--requests-at-once N        more are told to come again (default 1000)
--request-timeout-ms MS     for a request to arrive (default 30000)
--body-bytes BYTES          of a body at most (default 2097152)
--batch N                   texts of a request at most (default 2048)
--config FILE               a JSON object of settings, by names such as "userBytes"

Each setting may be in the environment, as MICROLORA_USER_BYTES. The command line counts first, then the environment.
SIGTERM and SIGINT finish the requests under way, then stop.`;

/** Serves until a signal comes. */
export async function serve(args: readonly string[], terminal: Terminal): Promise<void> {
  const texts = [...SETTINGS.map(flagOf), "config"].map((name) => [name, { type: "string" }] as const);
  const options = { help: { type: "boolean", short: "h" }, ...Object.fromEntries(texts) } as const;
  const { values } = parsed(() => parseArgs({ args: [...args], options }));
  if (values.help === true) {
    terminal.print(SERVE_USAGE);
    return;
  }
  const { help: _, ...flags } = values;
  const settings = settingsOf(flags as Readonly<Record<string, string | undefined>>, process.env);
  if (Object.values(flags).some((value) => value === "")) throw new UsageError(SERVE_USAGE);
  const ort = settings.model === undefined ? undefined : await loadOnnxruntime();
  const service = await startService({ ...settings, ...(ort !== undefined && { ort }) });
  terminal.print(`microlora listens at ${service.url}`);
  await stopSignal();
  await service.close();
}

function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const name of ["SIGTERM", "SIGINT"] as const) process.once(name, () => resolve());
  });
}
