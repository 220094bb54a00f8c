import { type Static, Type as T } from "typebox";

/** Numbers of a vector at most. */
const MAX_DIMENSIONS = 4096;

export const NameSchema = T.String({ minLength: 1, maxLength: 256, description: "A name of 1 to 256 bytes of UTF-8" });
export const VectorSchema = T.Array(T.Number(), { minItems: 1, maxItems: MAX_DIMENSIONS });

/** A document by its id in the index, or brought along. */
const ItemSchema = T.Union([
  NameSchema,
  T.Object({ id: NameSchema, text: T.String({ maxLength: 100_000 }) }, { additionalProperties: false }),
  T.Object({ id: NameSchema, vector: VectorSchema }, { additionalProperties: false }),
]);
export type FeedbackItem = Static<typeof ItemSchema>;

const ItemsSchema = T.Array(ItemSchema, { minItems: 1, maxItems: 1000 });

/** Feedback of one user for one query. */
export const FeedbackEventSchema = T.Object(
  {
    id: T.String({
      minLength: 1,
      maxLength: 256,
      description: "Unique within the tenant: a second event of it is a no-op",
    }),
    user: T.Optional(NameSchema),
    type: T.Optional(T.String({ maxLength: 256, description: "Kept for export" })),
    time: T.Optional(T.String({ maxLength: 64, description: "When it happened; kept for export" })),
    request_id: T.Optional(T.String({ maxLength: 64, description: "Of the search that it is feedback for" })),
    index: T.Optional(NameSchema),
    query: T.Optional(T.String({ minLength: 1, maxLength: 100_000 })),
    vector: T.Optional(VectorSchema),
    shown: T.Optional(ItemsSchema),
    chosen: T.Optional(T.Union([ItemSchema, T.Null()], { description: "null where all of it was passed over" })),
    rejected: T.Optional(ItemsSchema),
    item: T.Optional(ItemSchema),
    rating: T.Optional(T.Number({ minimum: -1, maximum: 1 })),
    stars: T.Optional(T.Number({ minimum: 0.5, maximum: 5 })),
    weight: T.Optional(T.Number({ minimum: -1, maximum: 1, description: "Of a choice; 1 by default" })),
  },
  { additionalProperties: false, $id: "FeedbackEvent" },
);
export type FeedbackEvent = Static<typeof FeedbackEventSchema>;
