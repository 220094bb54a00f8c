import { joinFields, sameBytes } from "../base/bytes.js";
import { corrupt } from "../base/errors.js";
import type { Snapshot, StoredEvent } from "../contract/store.js";
import type { Sealed, UserRow } from "./tables.js";

type Field = string | number | Uint8Array;

const HASH_BYTES = 16;

/** SHA-256 of fields, the first 16 bytes. It is asynchronous, so it is computed between transactions, which do not wait for it. */
export async function hashOf(fields: readonly Field[]): Promise<Uint8Array> {
  const joined = joinFields(fields) as Uint8Array<ArrayBuffer>;
  return new Uint8Array(await crypto.subtle.digest("SHA-256", joined)).slice(0, HASH_BYTES);
}

/** The hash as text in base 16, which IndexedDB sorts fast. */
export async function textHashOf(fields: readonly Field[]): Promise<string> {
  return Array.from(await hashOf(fields), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export async function sealUser(row: UserRow): Promise<Sealed<UserRow>> {
  const { id, tenant, user, start, seq, updated, secret } = row;
  return { ...row, sum: await hashOf(["user", id, tenant, user, start, seq, updated, secret]) };
}

export async function sealEvent(user: number, event: StoredEvent): Promise<Sealed<StoredEvent>> {
  const { seq, id, time, kind, kernels, version, payload, source, answer } = event;
  return {
    ...event,
    sum: await hashOf(["event", user, seq, id, time, kind, kernels, version, payload, source, answer]),
  };
}

export async function sealSnapshot(user: number, snapshot: Snapshot): Promise<Sealed<Snapshot>> {
  return { ...snapshot, sum: await hashOf(["snapshot", user, snapshot.seq, snapshot.bytes]) };
}

/** The row without its seal, if that is the right one. @throws StoreError `corrupt-store` */
export async function unseal<Row extends object>(
  { sum, ...row }: Sealed<Row>,
  seal: (row: Row) => Promise<Sealed<Row>>,
  where: string,
): Promise<Row> {
  const sealed = await seal(row as unknown as Row);
  if (!(sum instanceof Uint8Array) || !sameBytes(sum, sealed.sum)) throw corrupt(where, "its checksum is wrong");
  return row as unknown as Row;
}
