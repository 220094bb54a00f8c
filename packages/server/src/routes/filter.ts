import { type Static, Type as T } from "typebox";

const ValueSchema = T.Union([T.String({ maxLength: 1000 }), T.Number(), T.Boolean(), T.Null()]);

/** Fields of the payload, each with the value that it must have, or a list of those that it may have. */
export const FilterSchema = T.Record(
  T.String({ maxLength: 256 }),
  T.Union([ValueSchema, T.Array(ValueSchema, { minItems: 1, maxItems: 100 })]),
);
export type Filter = Static<typeof FilterSchema>;

export function matches(filter: Filter, payload: Readonly<Record<string, unknown>> | undefined): boolean {
  return Object.entries(filter).every(([field, wanted]) => {
    const value = payload !== undefined && Object.hasOwn(payload, field) ? payload[field] : undefined;
    return Array.isArray(wanted) ? (wanted as unknown[]).includes(value) : value === wanted;
  });
}
