import { randomUUID } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { Readable } from "node:stream";
import { type PersonalChange, type PersonalUser, type Turn, tenantId, type UserKey, userKey } from "@microlora/store";
import type { FastifyRequest } from "fastify";
import { type MicroLoraError, Personalizer } from "microlora";
import { Type as T } from "typebox";
import { ServiceError } from "../base/errors.js";
import { checkName } from "../base/names.js";
import type { App, Context } from "../http/context.js";
import { sayVersion } from "../http/person.js";
import { NameSchema } from "../state/feedback-event.js";
import { knownUser } from "../state/people.js";
import { exportLines } from "./export-user.js";

const Params = T.Object({ user: NameSchema });
const ExportQuery = T.Object({
  format: T.Optional(T.Union([T.Literal("mlora"), T.Literal("events"), T.Literal("all")])),
});
const PageQuery = T.Object({
  cursor: T.Optional(T.String({ maxLength: 1024 })),
  limit: T.Optional(T.String({ pattern: "^[1-9][0-9]{0,3}$" })),
});
const RollbackBody = T.Object({ to_seq: T.Integer({ minimum: 0 }) }, { additionalProperties: false });
const ForkBody = T.Object({ from: NameSchema }, { additionalProperties: false });

/** People: what is known of them, export, erasure, and changes of their whole state. Each change is an event of the log. */
export function addUsers(app: App, context: Context): void {
  const { home } = context;
  const read = { scope: "read" } as const;
  const admin = { scope: "admin" } as const;
  const tags = ["users"];

  app.get("/v1/users", { config: admin, schema: { querystring: PageQuery, tags } }, async ({ query, caller }) => {
    const { cursor, limit } = query;
    const page = { ...(cursor !== undefined && { cursor }), ...(limit !== undefined && { limit: Number(limit) }) };
    return home.userStore.users(tenantId(caller.tenant), page);
  });

  app.get("/v1/users/:user", { config: read, schema: { params: Params, tags } }, async (request, reply) => {
    const key = await knownUser(home, request.caller.tenant, request.params.user);
    const told = await home.users.with(key, ({ state, version }) => ({
      user: key.user,
      version,
      clicks: state.personalizer.clicks,
      memory_bytes: state.byteLength,
      base_model: state.personalizer.config.baseModel,
      kernels: state.personalizer.runtime.kernels.name,
      learning: state.personalizer.learner?.report() ?? null,
    }));
    sayVersion(reply, told.version);
    return told;
  });

  app.get(
    "/v1/users/:user/export",
    { config: admin, schema: { params: Params, querystring: ExportQuery, tags } },
    async ({ params, query: { format = "all" }, caller }, reply) => {
      const key = await knownUser(home, caller.tenant, params.user);
      const state = () => home.users.with(key, (turn) => ({ version: turn.version, bytes: turn.state.toBytes() }));
      if (format === "mlora") {
        const { version, bytes } = await state();
        sayVersion(reply, version);
        return reply.type("application/octet-stream").send(Buffer.from(bytes));
      }
      const first = format === "all" ? await state() : null;
      return reply.type("application/x-ndjson").send(Readable.from(exportLines(home.userStore, key, first)));
    },
  );

  app.put("/v1/users/:user/adapter", { config: admin, schema: { params: Params, tags } }, async (request, reply) => {
    const { body } = request;
    if (!Buffer.isBuffer(body)) {
      const remedy = "Send what `export?format=mlora` gave, as application/octet-stream";
      throw new ServiceError("unsupported-media-type", "body", "is no adapter", remedy);
    }
    const key = userKey(request.caller.tenant, checkName(request.params.user, "user"));
    return change(request, reply, key, ({ state }) => state.replace(new Uint8Array(body)));
  });

  app.post(
    "/v1/users/:user/rollback",
    { config: admin, schema: { params: Params, body: RollbackBody, tags } },
    async (request, reply) => {
      const key = await knownUser(home, request.caller.tenant, request.params.user);
      const { state } = await home.users.stateAt(key, request.body.to_seq);
      const bytes = state.toBytes();
      state.close();
      return change(request, reply, key, (turn) => turn.state.replace(bytes));
    },
  );

  app.post(
    "/v1/users/:user/fork",
    { config: admin, schema: { params: Params, body: ForkBody, tags } },
    async (request, reply) => {
      const from = await knownUser(home, request.caller.tenant, request.body.from);
      const bytes = await forkOf(from);
      const key = userKey(request.caller.tenant, checkName(request.params.user, "user"));
      return change(request, reply, key, ({ state }) => {
        if (state.personalizer.clicks === 0) return state.replace(bytes);
        throw new ServiceError("user-exists", "user", "has learned already", "Name a new user, or erase this one");
      });
    },
  );

  app.post(
    "/v1/users/:user/consolidate",
    { config: admin, schema: { params: Params, tags } },
    async (request, reply) => {
      const key = await knownUser(home, request.caller.tenant, request.params.user);
      return change(request, reply, key, ({ state }) => state.consolidate());
    },
  );

  app.delete("/v1/users/:user", { config: admin, schema: { params: Params, tags } }, async (request, reply) => {
    const { caller, params } = request;
    const key = userKey(caller.tenant, checkName(params.user, "user"));
    home.shown.forget(key.tenant, key.user);
    const receipt = await home.users.erase(key);
    const remains = [...receipt.remains, ...backupsOf(home.backups)];
    return reply
      .code(receipt.remains.length === 0 ? 200 : 202)
      .send({ ...receipt, remains, erased_at: new Date(context.now()).toISOString() });
  });

  /** What is general in a user, as the state of another one. */
  function forkOf(from: UserKey): Promise<Uint8Array> {
    return home.users.with(from, async ({ state }) => {
      using fork = await Personalizer.forkFrom(state.personalizer);
      return fork.toBytes();
    });
  }

  /** Commits a change of a user's whole state. A retry with the same `Idempotency-Key` changes nothing. */
  async function change(
    request: FastifyRequest,
    reply: { header(name: string, value: unknown): unknown },
    key: UserKey,
    changeOf: (turn: Turn<PersonalUser>) => PersonalChange,
  ) {
    const { "idempotency-key": given, "if-match": expected } = request.headers;
    const id = typeof given === "string" ? checkName(`change ${given}`, "idempotency-key") : `change ${randomUUID()}`;
    const source = new TextEncoder().encode(
      `${request.method} ${request.routeOptions.url} ${JSON.stringify(request.params)}`,
    );
    const version = await home.users.with(key, (turn) => {
      checkMatch(typeof expected === "string" ? expected : undefined, turn.version);
      const committed = turn.commit({ id, source, answer: "", ...changeOf(turn) });
      if (committed.status === "ok") return committed.seq;
      if (committed.status === "duplicate" && committed.same) return committed.seq;
      throw conflict();
    });
    reply.header("microlora-version", version);
    return { user: key.user, version };
  }
}

function checkMatch(expected: string | undefined, version: number): void {
  if (expected === undefined || expected === "*" || expected.replaceAll('"', "") === String(version)) return;
  throw new ServiceError(
    "version-conflict",
    "if-match",
    `is ${expected}, and the user is at ${version}`,
    "Read it again",
  );
}

function conflict(): MicroLoraError {
  const remedy = "Send each change with a key of its own";
  return new ServiceError("idempotency-conflict", "idempotency-key", "is that of another change", remedy);
}

/** Copies that were made before hold an erased user still. */
function backupsOf(folder: string): string[] {
  const count = existsSync(folder) ? readdirSync(folder).length : 0;
  return count === 0 ? [] : [`${count} backups in the folder of the service, until you remove them`];
}
