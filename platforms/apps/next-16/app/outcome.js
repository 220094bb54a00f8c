import { loadEmbedder } from "@microlora/embed";
import { EmbeddingIndex, Personalizer } from "microlora";
import { outcomeOf, searchThatLearns } from "../shared/search.js";

export const outcome = (options) =>
  outcomeOf(() => searchThatLearns({ loadEmbedder, EmbeddingIndex, Personalizer }, options));
