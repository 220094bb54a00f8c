import { registerSW } from "virtual:pwa-register";
import { loadEmbedder } from "@microlora/embed";
import { EmbeddingIndex, Personalizer } from "microlora";
import { outcomeOf, searchThatLearns } from "./shared/search.js";
import { tell } from "./shared/tell.js";

registerSW({ immediate: true });
outcomeOf(() => searchThatLearns({ loadEmbedder, EmbeddingIndex, Personalizer }, { dimensions: 128 })).then(tell);
