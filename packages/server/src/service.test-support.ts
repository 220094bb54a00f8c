import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { Keys, type Scope } from "./auth/keys.js";
import type { ServiceOptions } from "./options.js";
import { type Service, startService } from "./service.js";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The body as JSON; undefined where it is none. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it as they like.
  readonly json: any;
}

/** Calls a route; a body that is no text goes as JSON. */
export type Call = (
  method: string,
  path: string,
  body?: unknown,
  headers?: Readonly<Record<string, string>>,
) => Promise<Answer>;

export const SHOP = ["orange phone case", "fresh orange juice", "apple pie recipe", "apple laptop charger"].map(
  (text, i) => ({ id: `d${i}`, text, payload: { price: i } }),
);

/** A folder that is removed when the tests of the file are done. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "microlora-server-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A service on a port of its own, stopped when the tests of the file are done. */
export async function startTestService(options: Partial<ServiceOptions> = {}): Promise<Service & { call: Call }> {
  const MIB = 1024 * 1024;
  const service = await startService({
    data: newFolder(),
    port: 0,
    logLevel: "silent",
    userBytes: 32 * MIB,
    indexBytes: 32 * MIB,
    ...options,
  });
  let closing: Promise<void> | undefined;
  const close = () => {
    closing ??= service.close();
    return closing;
  };
  afterAll(close);
  return { url: service.url, close, [Symbol.asyncDispose]: close, call: callerOf(service.url) };
}

export function callerOf(url: string, key?: string): Call {
  return async (method, path, body, headers = {}) => {
    const isJson = body !== undefined && typeof body !== "string" && !(body instanceof Uint8Array);
    const type = isJson || typeof body === "string" ? { "content-type": "application/json" } : {};
    const own = key === undefined ? {} : { authorization: `Bearer ${key}` };
    const response = await fetch(url + path, {
      method,
      headers: { ...type, ...own, ...headers },
      ...(body !== undefined && { body: (isJson ? JSON.stringify(body) : body) as BodyInit }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, json: parsed(text) };
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A key in a folder. */
export function newKey(data: string, tenant: string, scopes: readonly Scope[]): Promise<string> {
  return new Keys(join(data, "keys.json")).add(tenant, scopes);
}
