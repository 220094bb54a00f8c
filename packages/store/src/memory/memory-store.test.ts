import { describeHome } from "../contract/conformance.test-support.js";
import { type MemoryPlaces, openMemoryStore } from "./memory-store.js";

const places: MemoryPlaces = new Map();
let count = 0;

describeHome("memory", {
  open: async (name) => openMemoryStore({ places, name }),
  newPlace: () => `place ${count++}`,
});
