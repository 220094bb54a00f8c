import { loadEmbedder } from "@microlora/embed";
import { EmbeddingIndex, Personalizer } from "microlora";
import { outcomeOf, searchThatLearns } from "./shared/search.js";
import { tell } from "./shared/tell.js";

const dimensions = Number(new URLSearchParams(location.search).get("dimensions") ?? 256);
outcomeOf(() => searchThatLearns({ loadEmbedder, EmbeddingIndex, Personalizer }, { dimensions })).then(tell);
