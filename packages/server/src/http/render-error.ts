import { StoreError, type StoreErrorCode } from "@microlora/store";
import type { FastifyError } from "fastify";
import { MicroLoraError } from "microlora";
import { ServiceError } from "../base/errors.js";

/** Whose error shape a route has. */
export type Family = "own" | "openai" | "tei";

/** An error as a client is told of it. */
export interface Told {
  readonly status: number;
  readonly code: string;
  readonly message: string;
  /** The field that it is about. */
  readonly param: string | null;
  /** Seconds. */
  readonly retryAfter?: number;
}

/** The status of each refusal of the store: of a caller's mistake, of a fault that passes, of one that does not. */
const STORE_STATUS: { readonly [K in StoreErrorCode]: number } = {
  closed: 503,
  compacted: 409,
  contended: 503,
  "corrupt-store": 500,
  "disk-full": 503,
  "driver-missing": 500,
  "in-use": 503,
  "invalid-argument": 400,
  "io-error": 503,
  "kernels-differ": 500,
  "lost-commits": 500,
  "memory-full": 503,
  "not-a-store": 500,
  "replay-refused": 500,
  "unsupported-version": 500,
  "version-ahead": 503,
};

/** Codes of learning that are no fault of the request. */
const MEMORY_FULL = "memory-full";
const TRY_AGAIN_SECONDS = 1;

/** The answer for an error. For an unknown error it hides the details and says only that one occurred. */
export function toldOf(error: unknown): Told {
  if (error instanceof ServiceError) {
    const { status, code, message, where, retryAfter } = error;
    return { status, code, message, param: where, ...(retryAfter !== undefined && { retryAfter }) };
  }
  if (error instanceof StoreError) return withRetry(STORE_STATUS[error.code], error);
  if (error instanceof MicroLoraError) return withRetry(error.code === MEMORY_FULL ? 503 : 422, error);
  const { statusCode, code, message, validation } = error as Partial<FastifyError>;
  if (statusCode !== undefined && statusCode < 500 && message !== undefined) {
    return { status: statusCode, code: codeOfFastify(code), message, param: paramOf(validation) };
  }
  return { status: 500, code: "internal", message: "The service failed. Its log says more.", param: null };
}

function withRetry(status: number, { code, message, where }: MicroLoraError): Told {
  if (status === 500) return { status, code, message: "The service failed. Its log says more.", param: null };
  return { status, code, message, param: where, ...(status === 503 && { retryAfter: TRY_AGAIN_SECONDS }) };
}

function codeOfFastify(code: string | undefined): string {
  if (code === "FST_ERR_CTP_BODY_TOO_LARGE") return "too-large";
  if (code === "FST_ERR_CTP_INVALID_MEDIA_TYPE") return "unsupported-media-type";
  return "invalid-body";
}

function paramOf(validation: FastifyError["validation"]): string | null {
  const [first] = validation ?? [];
  if (first === undefined) return null;
  const missing = (first.params as { readonly missingProperty?: string }).missingProperty;
  return [...first.instancePath.split("/").slice(1), ...(missing === undefined ? [] : [missing])].join(".") || null;
}

interface Rendered {
  readonly type: string;
  readonly body: object;
}

/** An error in the shape of a family of routes. */
export const RENDER: { readonly [K in Family]: (told: Told, instance: string) => Rendered } = {
  // RFC 9457.
  own: ({ status, code, message, param }, instance) => ({
    type: "application/problem+json; charset=utf-8",
    body: {
      type: `urn:microlora:error:${code}`,
      title: TITLES[status] ?? "Error",
      status,
      detail: message,
      instance: `urn:microlora:request:${instance}`,
      code,
      ...(param !== null && { param }),
    },
  }),
  // `Error` of OpenAI's openapi.yaml.
  openai: ({ status, code, message, param }) => ({
    type: "application/json; charset=utf-8",
    body: { error: { message, type: openAiType(status), param, code: code.replaceAll("-", "_") } },
  }),
  // `ErrorResponse` of TEI's docs/openapi.json.
  tei: ({ status, message }) => ({
    type: "application/json; charset=utf-8",
    body: { error: message, error_type: TEI_TYPES[status] ?? (status < 500 ? "Validation" : "Backend") },
  }),
};

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  409: "Conflict",
  410: "Gone",
  412: "Precondition Failed",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
  424: "Failed Dependency",
  429: "Too Many Requests",
  500: "Internal Server Error",
  503: "Service Unavailable",
};

function openAiType(status: number): string {
  if (status === 401) return "authentication_error";
  if (status === 403) return "permission_error";
  if (status === 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

const TEI_TYPES: Readonly<Record<number, string>> = { 429: "Overloaded", 503: "Unhealthy" };
