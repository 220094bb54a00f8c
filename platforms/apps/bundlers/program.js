import { loadEmbedder } from "@microlora/embed";
import { EmbeddingIndex, Personalizer } from "microlora";
import { outcomeOf, searchThatLearns } from "./shared/search.js";

const outcome = await outcomeOf(() => searchThatLearns({ loadEmbedder, EmbeddingIndex, Personalizer }));
console.log(JSON.stringify(outcome));
