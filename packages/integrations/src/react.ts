import type { HitReference, PersonalHit, PersonalSearch, SearchRequest } from "@microlora/search";
import type { DocumentId } from "microlora";
import { useCallback, useEffect, useRef, useState } from "react";

/** What the hook gives a component. */
export interface UsePersonalSearch<Id extends DocumentId, Payload> {
  /** The hits of the newest text that has been answered. */
  readonly hits: readonly PersonalHit<Id, Payload>[];
  /** Whether the hits are of an earlier text still, or the search is not there yet. */
  readonly isPending: boolean;
  /** Why the last search, or the last feedback, failed; null if it did not. */
  readonly error: unknown;
  /** Learns that a hit was chosen, and searches again. */
  readonly click: (hit: HitReference<Id>) => Promise<void>;
  /** Learns that none of the hits was right, and searches again. */
  readonly skip: () => Promise<void>;
  /** Learns how much a hit is liked, from -1 to 1, and searches again. */
  readonly rate: (hit: HitReference<Id>, rating: number) => Promise<void>;
}

/**
 * The hits of a text, which follow the text and what is learned. Answers that come late are dropped. On a server nothing is searched.
 * @param search made once, outside of the component; a promise of it is fine
 * @param text what the user typed; an empty one finds nothing
 */
export function usePersonalSearch<Id extends DocumentId, Payload, Filter>(
  search: PersonalSearch<Id, Payload, Filter> | PromiseLike<PersonalSearch<Id, Payload, Filter>>,
  text: string,
  { user, k, filter }: SearchRequest<Filter> = {},
): UsePersonalSearch<Id, Payload> {
  const [hits, setHits] = useState<readonly PersonalHit<Id, Payload>[]>([]);
  const [isPending, setIsPending] = useState(true);
  const [error, setError] = useState<unknown>(null);
  const [learned, setLearned] = useState(0);
  // A filter is often written where it is used, and then another one in each render: it is used, but does not start a search.
  const newestFilter = useRef(filter);
  newestFilter.current = filter;
  const shown = useRef(hits);
  shown.current = hits;

  // biome-ignore lint/correctness/useExhaustiveDependencies: `learned` counts what was learned, after which hits may differ.
  useEffect(() => {
    let isCurrent = true;
    const settle = (found: readonly PersonalHit<Id, Payload>[] | null, failure: unknown) => {
      if (!isCurrent) return;
      if (found !== null) setHits(found);
      setError(failure);
      setIsPending(false);
    };
    setIsPending(true);
    find(search, text, requestOf(user, k, newestFilter.current)).then(
      (found) => settle(found, null),
      (failure: unknown) => settle(null, failure),
    );
    return () => {
      isCurrent = false;
    };
  }, [search, text, user, k, learned]);

  const learn = useCallback(
    async (run: (search: PersonalSearch<Id, Payload, Filter>) => Promise<unknown>) => {
      try {
        await run(await search);
        setLearned((count) => count + 1);
      } catch (failure) {
        setError(failure);
      }
    },
    [search],
  );
  const click = useCallback((hit: HitReference<Id>) => learn((each) => each.click(hit)), [learn]);
  const skip = useCallback(() => learn((each) => each.skip(shown.current)), [learn]);
  const rate = useCallback((hit: HitReference<Id>, rating: number) => learn((each) => each.rate(hit, rating)), [learn]);
  return { hits, isPending, error, click, skip, rate };
}

async function find<Id extends DocumentId, Payload, Filter>(
  search: PersonalSearch<Id, Payload, Filter> | PromiseLike<PersonalSearch<Id, Payload, Filter>>,
  text: string,
  request: SearchRequest<Filter>,
): Promise<readonly PersonalHit<Id, Payload>[]> {
  const ready = await search;
  return text.trim() === "" ? [] : ready.search(text, request);
}

function requestOf<Filter>(
  user: string | undefined,
  k: number | undefined,
  filter: Filter | undefined,
): SearchRequest<Filter> {
  return {
    ...(user !== undefined && { user }),
    ...(k !== undefined && { k }),
    ...(filter !== undefined && { filter }),
  };
}
