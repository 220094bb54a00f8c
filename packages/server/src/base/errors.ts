import { MicroLoraError } from "microlora";

/** Every reason for which the service refuses something itself. What learning and the store refuse keeps the code it has there. */
export type ServiceErrorCode =
  /** The body, the path or a header names two different users. */
  | "adapter-conflict"
  /** The request has no key, or one that is not known. */
  | "unauthorized"
  /** The key has no scope for this route. */
  | "forbidden"
  /** The body is larger than it may be. */
  | "too-large"
  /** The body is not JSON, or not the JSON that this route takes. */
  | "invalid-body"
  /** There is no such route, user, index, document or model, or it belongs to another tenant. */
  | "not-found"
  /** The media type of the body is not one that this route takes. */
  | "unsupported-media-type"
  /** Another event has this id already. */
  | "idempotency-conflict"
  /** The event belongs to a user who was erased. */
  | "erased"
  /** The request that feedback refers to is not kept any more. */
  | "request-expired"
  /** The user is not at the version that `If-Match` names. */
  | "version-conflict"
  /** The user that was to be made is there already. */
  | "user-exists"
  /** A width of vectors that is not offered. */
  | "dimensions-not-offered"
  /** The key sent too many requests. */
  | "rate-limited"
  /** The service is busy with as many requests as it takes. */
  | "overloaded"
  /** The service was started without a language model. */
  | "no-language-model"
  /** An option of the service is wrong. */
  | "invalid-option";

/** The HTTP status of each code. */
const STATUS: { readonly [K in ServiceErrorCode]: number } = {
  "adapter-conflict": 400,
  unauthorized: 401,
  forbidden: 403,
  "too-large": 413,
  "invalid-body": 400,
  "not-found": 404,
  "unsupported-media-type": 415,
  "idempotency-conflict": 409,
  erased: 410,
  "request-expired": 410,
  "version-conflict": 412,
  "user-exists": 409,
  "dimensions-not-offered": 422,
  "rate-limited": 429,
  overloaded: 429,
  "no-language-model": 424,
  "invalid-option": 500,
};

/** The error of the service. Its message reads "where: problem. Remedy." */
export class ServiceError extends MicroLoraError {
  /** Name of the error's class. */
  override readonly name = "ServiceError";
  /** The reason, a literal that a caller may switch on. */
  declare readonly code: ServiceErrorCode;
  /** Seconds after which it makes sense to try again. */
  readonly retryAfter: number | undefined;

  /**
   * @param where the field, header or part of the path that was refused
   * @param problem what was wrong, with the values seen and expected
   * @param remedy what the caller can do
   */
  constructor(
    code: ServiceErrorCode,
    where: string,
    problem: string,
    remedy: string,
    { retryAfter, ...options }: ErrorOptions & { readonly retryAfter?: number } = {},
  ) {
    super(code, where, problem, remedy, options);
    this.retryAfter = retryAfter;
  }

  /** The HTTP status that goes with the code. */
  get status(): number {
    return STATUS[this.code];
  }
}

/** The error of what is not there, or is somebody else's. */
export function notFound(where: string): ServiceError {
  return new ServiceError("not-found", where, "is not there", "Check its name");
}
