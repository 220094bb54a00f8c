/** Slots by score, and by their order where scores are equal. */
export interface Ranking {
  /** [n] */
  readonly scores: Float32Array;
  /** Whether slot a comes before slot b where their scores are equal. */
  precedes(a: number, b: number): boolean;
  /** Whether a slot counts. */
  accepts(slot: number): boolean;
}

/** The k best slots, best first: a heap of k whose root is the worst, so n log k steps. */
export function topK(ranking: Ranking, k: number): number[] {
  const { scores } = ranking;
  const heap: number[] = [];
  if (k === 0) return heap;
  let worst = Number.NEGATIVE_INFINITY;
  for (let slot = 0; slot < scores.length; slot++) {
    if (scores[slot]! < worst) continue;
    if (!ranking.accepts(slot)) continue;
    if (heap.length < k) {
      heap.push(slot);
      rise(heap, ranking);
    } else if (isBetter(ranking, slot, heap[0]!)) {
      heap[0] = slot;
      sink(heap, ranking);
    }
    if (heap.length === k) worst = scores[heap[0]!]!;
  }
  return heap.sort((a, b) => (isBetter(ranking, a, b) ? -1 : 1));
}

function isBetter(ranking: Ranking, a: number, b: number): boolean {
  const apart = ranking.scores[a]! - ranking.scores[b]!;
  return apart > 0 || (apart === 0 && ranking.precedes(a, b));
}

/** The last element up to its place. */
function rise(heap: number[], ranking: Ranking): void {
  let at = heap.length - 1;
  while (at > 0) {
    const parent = (at - 1) >>> 1;
    if (!isBetter(ranking, heap[parent]!, heap[at]!)) return;
    swap(heap, at, parent);
    at = parent;
  }
}

/** The root down to its place. */
function sink(heap: number[], ranking: Ranking): void {
  let at = 0;
  for (;;) {
    const left = 2 * at + 1;
    if (left >= heap.length) return;
    const right = left + 1;
    const worst = right < heap.length && isBetter(ranking, heap[left]!, heap[right]!) ? right : left;
    if (!isBetter(ranking, heap[at]!, heap[worst]!)) return;
    swap(heap, at, worst);
    at = worst;
  }
}

function swap(heap: number[], a: number, b: number): void {
  const kept = heap[a]!;
  heap[a] = heap[b]!;
  heap[b] = kept;
}
