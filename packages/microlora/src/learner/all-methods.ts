import { productEwc, rwalk } from "../adapter/methods/ewc-methods.js";
import type { Method } from "../adapter/methods/method.js";
import { adamw, adaptiveRows, momentum } from "../adapter/methods/optimizers.js";
import { cosineDecay, inverseSquareRoot, linearDecay, warmUp } from "../adapter/methods/schedules.js";
import { adwin, everyRequests, pageHinkley } from "./boundaries.js";

/** Every method whose code is handed in, for loading a checkpoint that may have any of them. */
export const METHODS: readonly Method[] = [
  momentum(),
  adamw(),
  adaptiveRows(),
  rwalk(),
  productEwc(),
  warmUp(0),
  linearDecay({ updates: 1 }),
  cosineDecay({ updates: 1 }),
  inverseSquareRoot(),
  everyRequests(1),
  pageHinkley(),
  adwin(),
];
