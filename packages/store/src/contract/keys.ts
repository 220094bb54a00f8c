import { StoreError } from "../base/errors.js";

declare const brand: unique symbol;

/** The name of a tenant: an installation, a customer, a project. Users of two tenants never meet. */
export type TenantId = string & { readonly [brand]: "tenant" };
/** The name of a user within a tenant, as the caller has it. */
export type UserId = string & { readonly [brand]: "user" };

/** One user of one tenant. */
export interface UserKey {
  /** The tenant whose user it is. */
  readonly tenant: TenantId;
  /** The user's name within the tenant. */
  readonly user: UserId;
}

/** The longest name, in bytes of UTF-8. */
const MAX_NAME_BYTES = 256;
/** Control characters; PostgreSQL stores no NUL, and the others hide in logs. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it looks for.
const CONTROL = /[\u0000-\u001f\u007f]/;
const LONE_SURROGATE = /\p{Surrogate}/u;

/**
 * A checked key: names of 1 to 256 bytes of UTF-8, without control characters and lone surrogates.
 * @throws StoreError `invalid-argument`
 */
export function userKey(tenant: string, user: string): UserKey {
  return { tenant: tenantId(tenant), user: checkedName(user, "user") as UserId };
}

/** A checked name of a tenant. @throws StoreError `invalid-argument` */
export function tenantId(tenant: string): TenantId {
  return checkedName(tenant, "tenant") as TenantId;
}

/** The name, if it is one that every home can store. @throws StoreError `invalid-argument` */
export function checkedName(name: unknown, where: string): string {
  if (typeof name !== "string") refuseName(where, `is ${typeof name}`);
  if (name === "") refuseName(where, "is empty");
  if (CONTROL.test(name)) refuseName(where, "holds a control character");
  if (LONE_SURROGATE.test(name)) refuseName(where, "holds half of a surrogate pair");
  const bytes = new TextEncoder().encode(name).length;
  if (bytes > MAX_NAME_BYTES) refuseName(where, `has ${bytes} bytes of UTF-8`);
  return name;
}

/** A key as one string, for maps: names hold no NUL. */
export function keyOf({ tenant, user }: UserKey): string {
  return `${tenant}\0${user}`;
}

function refuseName(where: string, problem: string): never {
  throw new StoreError("invalid-argument", where, problem, `Pass a name of 1 to ${MAX_NAME_BYTES} bytes of text`);
}
