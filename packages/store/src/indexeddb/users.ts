import { corrupt } from "../base/errors.js";
import type { TenantId, UserId, UserKey } from "../contract/keys.js";
import type { Snapshot, UserSummary } from "../contract/store.js";
import { sealSnapshot, sealUser, textHashOf, unseal } from "./seals.js";
import type { Database, Sealed, UserRow } from "./tables.js";

/** A user who is there, or the seq at which a new one would begin. */
export interface Found {
  readonly row: UserRow | null;
  readonly start: number;
}

/** @throws StoreError `corrupt-store` */
export async function findUser(database: Database, salt: Uint8Array, key: UserKey): Promise<Found> {
  const sealed = await database.getFromIndex("users", "names", [key.tenant, key.user]);
  if (sealed !== undefined) {
    const row = await opened(sealed);
    return { row, start: row.start };
  }
  return { row: null, start: (await database.get("tombstones", await nameHashOf(salt, key))) ?? 0 };
}

/** A user by number; undefined if that one was erased. @throws StoreError `corrupt-store` */
export async function userByNumber(database: Database, id: number): Promise<UserRow | undefined> {
  const sealed = await database.get("users", id);
  return sealed && opened(sealed);
}

export async function pageOf(
  database: Database,
  tenant: TenantId,
  after: string,
  limit: number,
): Promise<UserSummary[]> {
  const range = IDBKeyRange.bound([tenant, after], [tenant, []], true);
  const rows = await database.getAllFromIndex("users", "names", range as IDBKeyRange, limit);
  const users = await Promise.all(rows.map(opened));
  return users.map(({ user, seq, updated }) => ({ user: user as UserId, seq, updated }));
}

/** The snapshots of a user that are whole, newest first. */
export async function snapshotsOf(database: Database, user: UserRow): Promise<{ whole: Snapshot[]; damaged: boolean }> {
  const rows = await database.getAll("snapshots", IDBKeyRange.bound([user.id, 0], [user.id, Infinity]));
  const checked = await Promise.allSettled(
    rows
      .reverse()
      .map((row) => unseal<Snapshot>(row, (each) => sealSnapshot(user.id, each), `snapshot of ${user.user}`)),
  );
  const whole = checked.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
  return { whole, damaged: whole.length < rows.length };
}

/** Where the tombstone of a user is. */
export function nameHashOf(salt: Uint8Array, { tenant, user }: UserKey): Promise<string> {
  return textHashOf([salt, "user", tenant, user]);
}

async function opened(sealed: Sealed<UserRow>): Promise<UserRow> {
  const row = await unseal<UserRow>(sealed, sealUser, `user ${sealed.id}`);
  if (!Number.isInteger(row.seq)) throw corrupt(`user ${row.id}`, "its seq is no number");
  return row;
}
