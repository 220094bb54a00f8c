import { type UserKey, userKey } from "@microlora/store";
import { ServiceError } from "../base/errors.js";
import { checkName } from "../base/names.js";
import type { Home } from "./home.js";

/** Whose view a request asks for. */
export interface Person {
  readonly key: UserKey;
  /** The version that has to be seen. */
  readonly minVersion: number;
}

/** Something that a person's state gave, and the version of that state. */
export interface Seen<Value> {
  readonly value: Value;
  readonly version: number;
}

/** The one user that a request names, in up to three places. @throws ServiceError `adapter-conflict`, `invalid-body` */
export function oneUser(names: readonly (string | undefined)[]): string | undefined {
  const [name, ...others] = new Set(names.filter((each) => each !== undefined));
  if (others.length === 0) return name === undefined ? undefined : checkName(name, "user");
  throw new ServiceError("adapter-conflict", "user", "is named twice, differently", "Name one user");
}

/**
 * Queries as a person means them; as they came for nobody, and for a person who has learned nothing.
 * @param queries [dimensions] each
 */
export async function transformAll(
  home: Home,
  person: Person | null,
  queries: readonly Float32Array[],
): Promise<Seen<readonly Float32Array[]>> {
  if (person === null) return { value: queries, version: 0 };
  const { key, minVersion } = person;
  return home.users.with(
    key,
    ({ state: { personalizer }, version }) => ({
      value: personalizer.clicks === 0 ? queries : queries.map((query) => personalizer.transform(query)),
      version,
    }),
    { minVersion },
  );
}

/** Whether a user is known: has events that were not erased. */
export async function isKnown(home: Home, key: UserKey): Promise<boolean> {
  const { seq, start } = await home.userStore.load(key);
  return seq > start;
}

/** The key of a user who is known. @throws ServiceError `not-found`, the same for a user of another tenant */
export async function knownUser(home: Home, tenant: string, user: string): Promise<UserKey> {
  const key = userKey(tenant, checkName(user, "user"));
  if (await isKnown(home, key)) return key;
  throw new ServiceError("not-found", "user", "is not there", "Check the name; a user begins with the first feedback");
}
