import { ServiceError } from "./base/errors.js";
import type { Limits } from "./http/context.js";

/** What a service is started with. */
export interface ServiceOptions {
  /** The folder of users, documents and keys; it is made if it is not there. */
  readonly data: string;
  /**
   * The address of a PostgreSQL database, such as `postgres://user:password@host:5432/database`, for users and documents in place of the folder.
   * Any number of services may share it. It needs `pg`.
   */
  readonly database?: string;
  /** Documents to put into the index `documents` at the start: a text on each line, or NDJSON of `{ id, text | vector, payload? }`. */
  readonly documents?: string;
  /** A language model: a GGUF file, or a folder with an ONNX file and its tokenizer. It needs `ort`. */
  readonly model?: string;
  /** The onnxruntime that runs the language model. */
  readonly ort?: unknown;
  /** The issuer of JSON Web Tokens that are taken in place of keys; it needs `jwtAudience` and `jwtKeys`. */
  readonly jwtIssuer?: string;
  /** What tokens are made out to. */
  readonly jwtAudience?: string;
  /** The https address of the issuer's JSON Web Key Set, or a file that holds it. */
  readonly jwtKeys?: string;
  /**
   * `opentelemetry` makes each request a span, by the SDK that the process has set up; none by default. It needs `@opentelemetry/api`.
   */
  readonly traces?: string;
  /** The address to listen at; 127.0.0.1 by default. Any other address needs keys. */
  readonly host?: string;
  /** 8080 by default; 0 takes any. */
  readonly port?: number;
  /** Level of the log, as of pino; `info` by default, `silent` for none. */
  readonly logLevel?: string;
  /** Bytes of memory for users in use; 512 MiB by default. */
  readonly userBytes?: number;
  /** Bytes of memory for indexes in use; 512 MiB by default. */
  readonly indexBytes?: number;
  /** How long a search waits for feedback that names it, in minutes; 60 by default. */
  readonly shownMinutes?: number;
  /** Bytes of memory for searches that wait for feedback; 64 MiB by default. */
  readonly shownBytes?: number;
  /** Requests of one key in a minute; 600,000 by default. */
  readonly requestsPerMinute?: number;
  /** Requests that are worked on at a time; 1,000 by default. */
  readonly requestsAtOnce?: number;
  /** Bytes of a body at most; 2 MiB by default. */
  readonly bodyBytes?: number;
  /** Milliseconds for a request to arrive; 30,000 by default. */
  readonly requestTimeoutMs?: number;
  /** Texts of a batch at most; 2,048 by default. */
  readonly batch?: number;
  /** The time in milliseconds since 1970; `Date.now` by default. */
  readonly now?: () => number;
}

const MIB = 1024 * 1024;

/** The numbers among the options: default, least and most. */
export const NUMBERS = {
  port: [8080, 0, 65_535],
  userBytes: [512 * MIB, MIB, 4000 * MIB],
  indexBytes: [512 * MIB, MIB, 4000 * MIB],
  shownMinutes: [60, 1, 60 * 24 * 30],
  shownBytes: [64 * MIB, 0, 4000 * MIB],
  requestsPerMinute: [600_000, 1, 1e9],
  requestsAtOnce: [1000, 1, 1e6],
  bodyBytes: [2 * MIB, 1024, 64 * MIB],
  requestTimeoutMs: [30_000, 100, 3_600_000],
  batch: [2048, 1, 2048],
} as const satisfies { readonly [K in keyof ServiceOptions]?: readonly [number, number, number] };
/** Name of an option that is a number. */
export type NumberOption = keyof typeof NUMBERS;

/** The numbers, checked, with their defaults. @throws ServiceError `invalid-option` */
export function numbersOf(options: ServiceOptions): { readonly [K in NumberOption]: number } {
  const entries = Object.entries(NUMBERS).map(([name, [byDefault, least, most]]) => {
    const value = options[name as NumberOption] ?? byDefault;
    if (Number.isInteger(value) && value >= least && value <= most) return [name, value];
    const remedy = `Pass a whole number from ${least} to ${most}`;
    throw new ServiceError("invalid-option", name, `is ${value}`, remedy);
  });
  return Object.fromEntries(entries) as { readonly [K in NumberOption]: number };
}

export function limitsOf(numbers: { readonly [K in NumberOption]: number }): Limits {
  const { bodyBytes, requestsAtOnce, requestsPerMinute, requestTimeoutMs, batch } = numbers;
  return { bodyBytes, requestsAtOnce, requestsPerMinute, requestTimeoutMs, batch };
}
