import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { loadEmbedder } from "@microlora/embed";
import { Keys } from "./auth/keys.js";
import { Tokens, tokenOptions } from "./auth/tokens.js";
import { ServiceError } from "./base/errors.js";
import { createApp } from "./http/app.js";
import type { App, Context } from "./http/context.js";
import { createMetrics } from "./http/metrics.js";
import { checkTraces } from "./http/traces.js";
import { loadDocuments } from "./load-documents.js";
import { limitsOf, numbersOf, type ServiceOptions } from "./options.js";
import { addChat } from "./routes/chat.js";
import { addEmbeddings } from "./routes/embeddings.js";
import { addFeedback } from "./routes/feedback.js";
import { addIndexes } from "./routes/indexes.js";
import { openLanguageModel } from "./routes/language-model.js";
import { addModels } from "./routes/models.js";
import { addOperations } from "./routes/operations.js";
import { addTei } from "./routes/tei.js";
import { addUsers } from "./routes/users.js";
import { FILES, openHome } from "./state/home.js";

/** A service that runs. */
export interface Service extends AsyncDisposable {
  /** Where it listens, such as `http://127.0.0.1:8080`. */
  readonly url: string;
  /** Takes no more requests, finishes those under way, and closes the files. */
  close(): Promise<void>;
}

const ROUTES: readonly ((app: App, context: Context) => void)[] = [
  addEmbeddings,
  addModels,
  addChat,
  addTei,
  addIndexes,
  addFeedback,
  addUsers,
  addOperations,
];

const LOOPBACK = /^(?:localhost|127\.\d+\.\d+\.\d+|::1)$/;

/**
 * Opens the folder of a service and listens.
 * @throws ServiceError `invalid-option`; StoreError as `openSqliteStore` and `openPostgresStore`; ChatError where the language model cannot be opened; an error of
 * the system where the port is taken
 */
export async function startService(options: ServiceOptions): Promise<Service> {
  const { data, database, host = "127.0.0.1", logLevel = "info", now = Date.now } = options;
  const numbers = numbersOf(options);
  const keys = new Keys(join(data, FILES.keys), now);
  checkTraces(options.traces);
  const ofTokens = tokenOptions(options);
  const tokens = ofTokens === undefined ? null : new Tokens(ofTokens, now);
  const isOpen = keys.list().length === 0 && tokens === null;
  if (isOpen && !LOOPBACK.test(host)) {
    const remedy = "Make one with `microlora keys add`, or listen at 127.0.0.1";
    throw new ServiceError("invalid-option", "host", `is ${host}, and there are no keys`, remedy);
  }
  const embedder = await loadEmbedder();
  const { userBytes, indexBytes, shownMinutes, shownBytes } = numbers;
  const shown = { milliseconds: shownMinutes * 60_000, bytes: shownBytes };
  const home = await openHome({
    data,
    ...(database !== undefined && { database }),
    embedder,
    userBytes,
    indexBytes,
    shown,
    now,
  });
  try {
    if (options.documents !== undefined) await loadDocuments(home, options.documents);
    const language = await openLanguageModel(options);
    let isReady = false;
    const context: Context = {
      home,
      keys,
      tokens,
      metrics: createMetrics(home),
      limits: limitsOf(numbers),
      language,
      now,
      isReady: () => isReady,
    };
    const app = await createApp(context, {
      logLevel,
      version: versionOfPackage(),
      isTraced: options.traces !== undefined,
      isOpen,
    });
    for (const add of ROUTES) add(app, context);
    app.addHook("preClose", async () => {
      isReady = false;
    });
    app.addHook("onClose", async () => {
      await home.close();
      await language?.chat.close();
    });
    await app.listen({ host, port: numbers.port });
    isReady = true;
    return serviceOf(app, host);
  } catch (error) {
    await home.close();
    throw error;
  }
}

function serviceOf(app: App, host: string): Service {
  const { port } = app.server.address() as AddressInfo;
  const close = () => app.close() as unknown as Promise<void>;
  return { url: `http://${host.includes(":") ? `[${host}]` : host}:${port}`, close, [Symbol.asyncDispose]: close };
}

function versionOfPackage(): string {
  return (createRequire(import.meta.url)("../package.json") as { readonly version: string }).version;
}
