/**
 * What people ask assistants about anything but themselves, and about themselves where no fact helps. Embeddings are compared by how they
 * differ from the mean of these; the first ones also go through the model once.
 */
export const BACKGROUND: readonly string[] = [
  "What is the tallest mountain in the world?",
  "How do I bake a simple cake?",
  "Write a short poem about autumn.",
  "Who painted the Mona Lisa?",
  "Can you explain how a rainbow forms?",
  "What should I pack for a weekend trip?",
  "When did the Second World War end?",
  "Give me three tips for better sleep.",
  "Where do penguins live?",
  "What is the square root of 81?",
  "How can I learn to draw?",
  "Which metal is liquid at room temperature?",
  "Translate good morning into Italian.",
  "Why is the sea salty?",
  "Tell me a joke about computers.",
  "What is the difference between a lake and a pond?",
  "How many players are in a football team?",
  "Who discovered penicillin?",
  "Do you know a good recipe for soup?",
  "What is the currency of Japan?",
  "Is it safe to eat raw eggs?",
  "How do I write a letter of application?",
  "What are the primary colours?",
  "Which country has the most people?",
];
