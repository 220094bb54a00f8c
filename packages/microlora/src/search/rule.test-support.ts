import { cosine64, loss64, slope64, unit64 } from "../learner/feedback/reference.test-support.js";
import { PERSONALIZER_DEFAULTS } from "./personalizer-config.js";
import type { RecallConfig } from "./recall.js";

/** Cosines of a query with all documents of an index say how clearly it stands out. */
export function margin64(x: ArrayLike<number>, documents: readonly ArrayLike<number>[]): number {
  const scores = documents.map((document) => cosine64(x, document)).sort((a, b) => b - a);
  const mean = scores.reduce((sum, s) => sum + s, 0) / scores.length;
  return (scores[0]! - scores[Math.min(9, scores.length - 1)]!) / Math.max(scores[0]! - mean, 1e-9);
}

/** The low quantile of the margins that an index's own documents have. */
export function ownMargin64(documents: readonly ArrayLike<number>[]): number {
  const margins = documents.map((document) => margin64(document, documents)).sort((a, b) => a - b);
  return margins[Math.floor(0.05 * (margins.length - 1))]!;
}

interface Row {
  readonly key: Float64Array;
  value: Float64Array;
}

/** One event for the model. */
export interface Event64 {
  readonly query: ArrayLike<number>;
  /** What was shown, by their places in `documents`; of a rating the item alone. */
  readonly shown: readonly number[];
  /** Place in `shown`; -1 for none. */
  readonly chosen?: number;
  readonly rating?: number;
}

/** The learning rule in float64, slow and plain, with its gradients by differences; written from docs/decisions/0018-learning-rule.md. */
export class Rule64 {
  readonly rows: Row[] = [];
  next = 0;
  readonly bias: Float64Array;
  readonly counts = new Map<number, number>();
  itemWeight = 0.1;
  ratings = { sum: 0, count: 0 };

  /** @param own margin of the index; null without an index */
  constructor(
    readonly documents: readonly ArrayLike<number>[],
    readonly own: number | null,
    readonly recall: RecallConfig = PERSONALIZER_DEFAULTS.recall,
    readonly temperature = 0.1,
    readonly slowRate = 0.03,
  ) {
    this.bias = new Float64Array(documents[0]!.length);
  }

  place(query: ArrayLike<number>) {
    const x = unit64(query);
    const weights = this.#route(x);
    const share = sum(weights);
    const gate = this.own === null ? share : gate64(margin64(x, this.documents), this.own, share);
    const y = x.map((v, i) => v + gate * this.bias[i]! + sum(weights.map((w, j) => w * this.rows[j]!.value[i]!)));
    return { x, weights, share, gate, y };
  }

  offsets(shown: readonly number[], share: number): number[] {
    return shown.map((d) => share * this.itemWeight * this.#often(d));
  }

  learn({ query, shown, chosen = -1, rating }: Event64): { readonly loss: number; readonly gradient: Float64Array } {
    const { x, weights, share, gate, y } = this.place(query);
    const { temperature } = this;
    const vectors = shown.map((d) => this.documents[d]!);
    if (rating !== undefined) {
      const liking = rating - this.ratings.sum / (this.ratings.count + 2);
      this.ratings = { sum: this.ratings.sum + rating, count: this.ratings.count + 1 };
      const loss = (moved: Float64Array) => (-liking * cosine64(moved, vectors[0]!)) / temperature;
      const gradient = slope64(y, loss);
      this.#step(x, weights, gate, gradient, 1, 0);
      return { loss: loss(y), gradient };
    }
    const offsets = this.offsets(shown, share);
    const loss = (moved: Float64Array) => loss64(moved, vectors, chosen, temperature, offsets);
    const gradient = slope64(y, loss);
    if (chosen === -1) {
      this.#step(x, weights, gate, gradient, 0.1, 0);
      return { loss: loss(y), gradient };
    }
    const worse = loss(y) - loss64(x, vectors, chosen, temperature);
    const ofWeight = slope64([this.itemWeight], ([weight]) =>
      loss64(
        y,
        vectors,
        chosen,
        temperature,
        shown.map((d) => share * weight! * this.#often(d)),
      ),
    );
    const result = { loss: loss(y), gradient };
    this.#step(x, weights, gate, gradient, 1, 0.1 * Math.min(1, Math.max(0, worse)));
    this.itemWeight = Math.min(1, Math.max(-1, this.itemWeight - 0.001 * ofWeight[0]!));
    this.counts.set(shown[chosen]!, (this.counts.get(shown[chosen]!) ?? 0) + 1);
    return result;
  }

  #often(d: number): number {
    return Math.log2(1 + (this.counts.get(d) ?? 0));
  }

  #route(x: ArrayLike<number>): number[] {
    const { sharpness, nullSimilarity } = this.recall;
    const raw = this.rows.map(({ key }) => Math.exp(sharpness * key.reduce((total, k, i) => total + k * x[i]!, 0)));
    const all = sum(raw) + Math.exp(sharpness * nullSimilarity);
    return raw.map((e) => (e / all < 0.01 ? 0 : e / all));
  }

  #step(
    x: Float64Array,
    weights: readonly number[],
    gate: number,
    gradient: Float64Array,
    scale: number,
    doubt: number,
  ) {
    const { strength, learningRate, mergeSimilarity, rows } = this.recall;
    const before = [...weights];
    let now = before;
    const nearest = Math.max(-1, ...this.rows.map(({ key }) => key.reduce((total, k, i) => total + k * x[i]!, 0)));
    if (nearest < (mergeSimilarity ?? Infinity)) {
      const most = Math.max(...x.map(Math.abs)) / 127;
      const row = { key: x.map((v) => most * Math.round(v / most)), value: new Float64Array(x.length) };
      const at = this.rows.length < rows ? this.rows.length : this.next;
      if (this.rows.length === rows) this.next = (this.next + 1) % rows;
      this.rows[at] = row;
      before[at] = 0;
      now = this.#route(x);
    }
    for (const [j, row] of this.rows.entries()) {
      const moved = row.value.map(
        (v, i) => (1 - doubt * before[j]!) * v - learningRate * scale * now[j]! * gradient[i]!,
      );
      const unit = strength * 2 ** -14;
      row.value = shortened(moved, strength).map((v) => unit * Math.round(v / unit));
    }
    const general = this.bias.map((v, i) => (1 - doubt * gate) * v - this.slowRate * scale * gate * gradient[i]!);
    this.bias.set(shortened(general, 1));
  }
}

function gate64(margin: number, own: number, share: number): number {
  return own === 0 ? 0 : Math.min(1, Math.max(0, (own * (1 + 0.3 * share) - margin) / (0.4 * own)));
}

function shortened(v: Float64Array, most: number): Float64Array {
  const longer = Math.max(1, Math.hypot(...v) / most);
  return v.map((each) => each / longer);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
