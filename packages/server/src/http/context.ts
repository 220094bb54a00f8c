import type { IncomingMessage, ServerResponse } from "node:http";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type { Chat } from "@microlora/chat";
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from "fastify";
import type { Caller, Keys, Scope } from "../auth/keys.js";
import type { Tokens } from "../auth/tokens.js";
import type { Home } from "../state/home.js";
import type { Metrics } from "./metrics.js";
import type { Family } from "./render-error.js";

/** What routes work on. */
export interface Context {
  readonly home: Home;
  readonly keys: Keys;
  /** Tokens of another service, where the service takes them. */
  readonly tokens: Tokens | null;
  readonly metrics: Metrics;
  readonly limits: Limits;
  /** The language model, where the service has one. */
  readonly language: LanguageModel | null;
  readonly now: () => number;
  /** Whether the service takes requests: not before it is open, and not once it closes. */
  isReady(): boolean;
}

export interface LanguageModel {
  /** Its name in the API. */
  readonly name: string;
  readonly chat: Chat;
}

export interface Limits {
  /** Bytes of a body at most. */
  readonly bodyBytes: number;
  /** Requests that are worked on at a time; more are told to come again. */
  readonly requestsAtOnce: number;
  /** Requests of one key in a minute. */
  readonly requestsPerMinute: number;
  /** Milliseconds for a request to arrive. */
  readonly requestTimeoutMs: number;
  /** Texts of a batch at most. */
  readonly batch: number;
}

export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

declare module "fastify" {
  interface FastifyContextConfig {
    /** The shape of this route's errors; `own` by default. */
    readonly family?: Family;
    /** What a key needs for this route; null for a route that needs none. */
    readonly scope?: Scope | null;
  }
  interface FastifyRequest {
    /** Who sent it; set by the hook that checks keys. */
    caller: Caller;
  }
}

/** The name of the embedder in the API. */
export const EMBEDDER_NAME = "microlora";
