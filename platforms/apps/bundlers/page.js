import { loadEmbedder } from "@microlora/embed";
import { EmbeddingIndex, Personalizer } from "microlora";
import { outcomeOf, searchThatLearns } from "./shared/search.js";
import { tell } from "./shared/tell.js";

outcomeOf(() => searchThatLearns({ loadEmbedder, EmbeddingIndex, Personalizer })).then(tell);
