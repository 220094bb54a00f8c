import { loadEmbedder } from "@microlora/embed";
import { EmbeddingIndex, Personalizer } from "microlora";
import { outcomeOf, searchThatLearns } from "./shared/search.js";
import { tell } from "./shared/tell.js";

const weights = new URL("/weights/minilm-static-256.bin", location.href);
outcomeOf(() => searchThatLearns({ loadEmbedder, EmbeddingIndex, Personalizer }, { weights })).then(tell);
