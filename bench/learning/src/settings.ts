/** What keeps the slow weights from being overwritten. */
export type Hold = "l2" | "onlineEwc" | "ewcPlusPlus" | "rwalk" | "productEwc";

/** What the Rust original is told of a click: that it was good, or the exact gradient of the click's loss. */
export type OriginalFeedback = "score" | "gradient";

/** One row of the tables: what learns, and what holds on to it. */
export interface Setting {
  readonly label: string;
  /** The slow weights: nothing, a constant offset y = x + b, or LoRA with a bias. */
  readonly slow: "none" | "offset" | "lora";
  readonly hold?: Hold;
  /** Keeps single clicks; needs an embedding. */
  readonly recall?: true;
  /** Recall keeps as many clicks as it does by default, rather than what fits into 64 KB with the slow weights. */
  readonly roomy?: true;
  /** The slow weights act, and learn, by the share of recall's routing that kept clicks have. */
  readonly gated?: true;
  /** Task boundaries are found by the loss (Page-Hinkley) instead of told. */
  readonly detected?: true;
  /** Updates are kept only if they do not make held-back clicks worse. */
  readonly guarded?: true;
  /** `Personalizer.create({ dimensions })`, nothing else set. */
  readonly asItComes?: true;
  /** Mixes kept clicks into every update. */
  readonly replay?: true;
  /** Learns all tasks at once, shuffled: the ceiling. */
  readonly joint?: true;
  /** Run by the Rust original instead, which is told of a click so. */
  readonly original?: OriginalFeedback;
}

/** Every setting that is compared. A new one is one row here, and where it has knobs, one in `tuning.ts`. */
export const SETTINGS = {
  base: { label: "base", slow: "none" },
  offset: { label: "constant offset", slow: "offset" },
  none: { label: "none", slow: "lora" },
  noneAtRate: { label: "none, at EWC's rate", slow: "lora" },
  l2: { label: "L2 to the anchor", slow: "lora", hold: "l2" },
  onlineEwc: { label: "online EWC", slow: "lora", hold: "onlineEwc" },
  onlineEwcFirm: { label: "online EWC, firm", slow: "lora", hold: "onlineEwc" },
  ewcPlusPlus: { label: "EWC++", slow: "lora", hold: "ewcPlusPlus" },
  rwalk: { label: "RWalk", slow: "lora", hold: "rwalk" },
  productEwc: { label: "product-EWC", slow: "lora", hold: "productEwc" },
  ewcDetected: { label: "online EWC, boundaries found", slow: "lora", hold: "onlineEwc", detected: true },
  ewcGuarded: { label: "online EWC + guard", slow: "lora", hold: "onlineEwc", guarded: true },
  replay: { label: "replay", slow: "lora", replay: true },
  ewcReplay: { label: "EWC + replay", slow: "lora", hold: "onlineEwc", replay: true },
  recall: { label: "recall", slow: "none", recall: true },
  recallSlow: { label: "recall + slow", slow: "lora", recall: true },
  gated: { label: "recall + slow, gated", slow: "lora", recall: true, gated: true },
  gatedEwc: {
    label: "recall + EWC, gated, 256 KB of clicks",
    slow: "lora",
    hold: "onlineEwc",
    recall: true,
    roomy: true,
    gated: true,
  },
  asItComes: { label: "Personalizer as it comes", slow: "lora", recall: true, asItComes: true },
  originalScore: { label: "Rust original: a score", slow: "lora", original: "score" },
  originalGradient: { label: "Rust original: gradients", slow: "lora", original: "gradient" },
  joint: { label: "joint training (ceiling)", slow: "lora", joint: true },
} as const satisfies Readonly<Record<string, Setting>>;

export type SettingName = keyof typeof SETTINGS;
export const SETTING_NAMES = Object.keys(SETTINGS) as SettingName[];

export function settingOf(name: SettingName): Setting {
  return SETTINGS[name];
}
