/** What tuning may choose for a setting. */
export interface Knobs {
  readonly learningRate: number;
  /** Weight of whatever holds on to what was learned. */
  readonly lambda: number;
}
