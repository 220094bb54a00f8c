import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { joinFields } from "../base/bytes.js";
import type { TenantId, UserKey } from "../contract/keys.js";
import type { Snapshot, StoredEvent } from "../contract/store.js";

const HASH_BYTES = 16;

/** Names of users and ids of events as hashes that tell nothing without the salt, and the checksums of rows. */
export class Hashes {
  readonly #salt: Uint8Array;

  constructor(salt: Uint8Array) {
    this.#salt = salt;
  }

  person({ tenant, user }: UserKey): Buffer {
    return this.#hash(["user", tenant, user]);
  }

  id(tenant: TenantId, id: string): Buffer {
    return this.#hash(["id", tenant, id]);
  }

  #hash(fields: readonly string[]): Buffer {
    return sha256(joinFields([this.#salt, ...fields])).subarray(0, HASH_BYTES);
  }
}

/** Tells sources apart; without the user's secret, which goes when the user is erased, it tells nothing. The statement of `append` has the same in SQL. */
export function printOf(secret: Uint8Array, source: Uint8Array): Buffer {
  return sha256(Buffer.concat([secret, source]));
}

/** Over all fields of an event and its user, so that rows that changed places are found too. */
export function eventCrc(person: Uint8Array, event: StoredEvent): number {
  const { seq, id, time, kind, kernels, version, payload, source, answer } = event;
  return crc32(joinFields(["event", person, seq, id, time, kind, kernels, version, payload, source, answer]));
}

export function snapshotCrc(person: Uint8Array, { seq, bytes }: Snapshot): number {
  return crc32(joinFields(["snapshot", person, seq, bytes]));
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
