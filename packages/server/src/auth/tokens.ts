import { readFileSync } from "node:fs";
import { tenantId } from "@microlora/store";
import { createLocalJWKSet, createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from "jose";
import { ServiceError } from "../base/errors.js";
import { type Caller, SCOPES, type Scope } from "./keys.js";

/** Who issues tokens, for whom, and how they are signed. */
export interface TokenOptions {
  /** The claim `iss`. */
  readonly issuer: string;
  /** The claim `aud`. */
  readonly audience: string;
  /** A JSON Web Key Set (RFC 7517): an https address, or the path of a file. */
  readonly keys: string;
}

/** Signatures by a public key; with a shared secret, whoever checks tokens could make them. */
const ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];
/** Errors that say nothing of the token: the answer did not come in time, or holds no key set. */
const FETCH_CODES = new Set(["ERR_JWKS_TIMEOUT", "ERR_JOSE_GENERIC", "ERR_JWKS_INVALID"]);
/** Clocks of two machines differ by so many seconds at most. */
const CLOCK_TOLERANCE = 10;

/**
 * Bearer tokens of another service, as JSON Web Tokens (RFC 7519, RFC 8725): signed, not expired, for this audience, with the claims `tenant` and
 * `scope`, which lists read, feedback or admin.
 */
export class Tokens {
  readonly #options: TokenOptions;
  readonly #keys: JWTVerifyGetKey;
  readonly #now: () => number;

  /** @throws ServiceError `invalid-option` for a file that is no key set, and an address without https */
  constructor(options: TokenOptions, now: () => number = Date.now) {
    this.#options = options;
    this.#keys = keysOf(options.keys);
    this.#now = now;
  }

  /**
   * The caller that a token speaks for; undefined for one that does not hold.
   * @throws ServiceError `overloaded` while the keys cannot be fetched
   */
  async callerOf(token: string): Promise<Caller | undefined> {
    const { issuer, audience } = this.#options;
    try {
      const { payload } = await jwtVerify(token, this.#keys, {
        ...{ issuer, audience, algorithms: ALGORITHMS, clockTolerance: CLOCK_TOLERANCE },
        requiredClaims: ["exp", "tenant", "scope"],
        currentDate: new Date(this.#now()),
      });
      return callerIn(payload);
    } catch (error) {
      if (error instanceof errors.JOSEError && !FETCH_CODES.has(error.code)) return undefined;
      const remedy = "Try again in a moment";
      throw new ServiceError("overloaded", "authorization", "the keys of tokens cannot be fetched", remedy, {
        retryAfter: 1,
      });
    }
  }
}

function callerIn({ tenant, scope, sub }: JWTPayload): Caller | undefined {
  if (typeof tenant !== "string" || typeof scope !== "string") return undefined;
  const scopes = scope.split(" ").filter((each): each is Scope => (SCOPES as readonly string[]).includes(each));
  try {
    return { key: `token ${tenant} ${sub ?? ""}`, tenant: tenantId(tenant), scopes: new Set(scopes) };
  } catch {
    return undefined;
  }
}

function keysOf(place: string): JWTVerifyGetKey {
  if (/^https:\/\//.test(place)) return createRemoteJWKSet(new URL(place));
  if (/^[a-z]+:\/\//i.test(place)) throw invalid(place, "is an address without https");
  try {
    return createLocalJWKSet(JSON.parse(readFileSync(place, "utf8")));
  } catch (error) {
    throw invalid(place, `is no file with a JSON Web Key Set: ${error instanceof Error ? error.message : error}`);
  }
}

function invalid(place: string, problem: string): ServiceError {
  const remedy = "Pass the https address of your issuer's key set, or a file that holds it";
  return new ServiceError("invalid-option", `jwtKeys ${place}`, problem, remedy);
}

/** The options of tokens, all or none of which are there. @throws ServiceError `invalid-option` */
export function tokenOptions(options: {
  readonly jwtIssuer?: string;
  readonly jwtAudience?: string;
  readonly jwtKeys?: string;
}): TokenOptions | undefined {
  const { jwtIssuer: issuer, jwtAudience: audience, jwtKeys: keys } = options;
  if (issuer === undefined && audience === undefined && keys === undefined) return undefined;
  if (issuer !== undefined && audience !== undefined && keys !== undefined) return { issuer, audience, keys };
  const remedy = "Pass jwtIssuer, jwtAudience and jwtKeys, or none of them";
  throw new ServiceError("invalid-option", "jwt", "is only partly set", remedy);
}
