import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { save } from "microlora/node";
import { ServiceError } from "../base/errors.js";

/** What a key may do. */
export const SCOPES = ["read", "feedback", "admin"] as const;
/** What a key permits. */
export type Scope = (typeof SCOPES)[number];

/** Who sends a request. */
export interface Caller {
  /** The name of the key, for rate limits. */
  readonly key: string;
  readonly tenant: string;
  readonly scopes: ReadonlySet<Scope>;
}

/** A key as the file has it; the secret itself is nowhere. */
export interface StoredKey {
  /** Name of the key, which its token carries. */
  readonly id: string;
  /** The tenant that the key belongs to. */
  readonly tenant: string;
  /** What the key permits. */
  readonly scopes: readonly Scope[];
  /** SHA-256 of the secret, in hex. A secret has 256 random bits, so that a slow hash would add nothing. */
  readonly hash: string;
  /** When it was made, in ISO 8601. */
  readonly created: string;
}

const PREFIX = "mlk";
const SECRET_BYTES = 32;
const ID_BYTES = 6;
/** The file is looked at again at most this often. */
const RELOAD_MS = 1000;

/** The keys of a service, in a file that may change while the service runs. */
export class Keys {
  readonly #path: string;
  readonly #now: () => number;
  #keys = new Map<string, StoredKey>();
  #seen = "";
  #lookedAt = Number.NEGATIVE_INFINITY;

  /** @param path of `keys.json`, which need not be there */
  constructor(path: string, now: () => number = Date.now) {
    this.#path = path;
    this.#now = now;
    this.#reload();
  }

  /** All keys, read from the file again. */
  list(): readonly StoredKey[] {
    this.#lookedAt = Number.NEGATIVE_INFINITY;
    this.#reload();
    return [...this.#keys.values()];
  }

  /** The caller whose key this is; undefined for one that is not known. Takes the same time for every wrong secret. */
  callerOf(token: string): Caller | undefined {
    this.#reload();
    const [prefix, id = "", secret = ""] = token.split("_", 3);
    const found = prefix === PREFIX ? this.#keys.get(id) : undefined;
    const isRight = timingSafeEqual(hashOf(secret), Buffer.from(found?.hash ?? NOBODY, "hex"));
    if (found === undefined || !isRight) return undefined;
    return { key: found.id, tenant: found.tenant, scopes: new Set(found.scopes) };
  }

  /** Makes a key. @returns the token, which is told this once */
  async add(tenant: string, scopes: readonly Scope[]): Promise<string> {
    const id = randomBytes(ID_BYTES).toString("hex");
    const secret = randomBytes(SECRET_BYTES).toString("base64url").replaceAll("_", "-");
    const hash = hashOf(secret).toString("hex");
    await this.#write([...this.list(), { id, tenant, scopes, hash, created: new Date(this.#now()).toISOString() }]);
    return `${PREFIX}_${id}_${secret}`;
  }

  /** Removes a key; whether it was there. @returns whether it was there */
  async remove(id: string): Promise<boolean> {
    const rest = this.list().filter((key) => key.id !== id);
    if (rest.length === this.#keys.size) return false;
    await this.#write(rest);
    return true;
  }

  async #write(keys: readonly StoredKey[]): Promise<void> {
    const text = `${JSON.stringify({ version: 1, keys }, null, 2)}\n`;
    await save({ toBytes: () => new TextEncoder().encode(text) }, this.#path);
    this.#lookedAt = Number.NEGATIVE_INFINITY;
    this.#reload();
  }

  #reload(): void {
    const now = this.#now();
    if (now >= this.#lookedAt && now - this.#lookedAt < RELOAD_MS) return;
    this.#lookedAt = now;
    if (!existsSync(this.#path)) {
      this.#keys.clear();
      this.#seen = "";
      return;
    }
    const { mtimeMs, size, ino } = statSync(this.#path);
    const seen = `${mtimeMs} ${size} ${ino}`;
    if (seen === this.#seen) return;
    this.#keys = new Map(readKeys(this.#path).map((key) => [key.id, key]));
    this.#seen = seen;
  }
}

const NOBODY = "00".repeat(32);

function hashOf(secret: string): Buffer {
  return createHash("sha256").update(secret).digest();
}

function readKeys(path: string): readonly StoredKey[] {
  try {
    const { version, keys } = JSON.parse(readFileSync(path, "utf8"));
    if (version !== 1 || !Array.isArray(keys)) throw new TypeError("there are no keys of version 1");
    return keys.map(checkedKey);
  } catch (error) {
    const remedy = "Restore the file, or remove it and make new keys";
    throw new ServiceError("invalid-option", path, "is not a file of keys", remedy, { cause: error });
  }
}

function checkedKey(key: Partial<StoredKey>): StoredKey {
  const { id, tenant, scopes, hash, created } = key;
  const isWhole = [id, tenant, hash, created].every((each) => typeof each === "string");
  if (!isWhole || !Array.isArray(scopes) || !/^[0-9a-f]{64}$/.test(hash!)) throw new TypeError("a key is not whole");
  return key as StoredKey;
}
