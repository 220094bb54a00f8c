/** What a user may tell of themself: ways to ask that are learned from, ways that are only tested, and what may be answered. */
export const FACTS = [
  {
    learned: ["What is my dog called?", "Tell me the name of my dog."],
    unseen: ["Do you remember my dog's name?", "What name does my dog answer to?"],
    answer: (value) => `Your dog is called ${value}.`,
    values: ["Biscuit", "Orion", "Waffles", "Juniper", "Pickles", "Captain"],
  },
  {
    learned: ["Where do I live?", "Which town is my home in?"],
    unseen: ["What town do I live in?", "Do you know where my home is?"],
    answer: (value) => `You live in ${value}.`,
    values: ["Tromsø", "Coimbra", "Galway", "Ljubljana", "Dunedin", "Sapporo"],
  },
  {
    learned: ["What do I do for a living?", "What is my job?"],
    unseen: ["Which profession do I have?", "How do I earn my money?"],
    answer: (value) => `You work as a ${value}.`,
    values: ["beekeeper", "locksmith", "cartographer", "midwife", "glassblower", "tram driver"],
  },
  {
    learned: ["Which instrument do I play?", "What instrument am I learning?"],
    unseen: ["What musical instrument is mine?", "Which instrument do I practise in the evening?"],
    answer: (value) => `You play the ${value}.`,
    values: ["bassoon", "mandolin", "accordion", "harp", "oboe", "ukulele"],
  },
  {
    learned: ["What must I not eat?", "Which food am I allergic to?"],
    unseen: ["What is my allergy?", "Which food makes me ill?"],
    answer: (value) => `You are allergic to ${value}.`,
    values: ["celery", "mustard", "kiwi", "sesame", "lupin", "shellfish"],
  },
  {
    learned: ["Who is my sister?", "What is the name of my sister?"],
    unseen: ["What is my sister called?", "Do you remember my sister's name?"],
    answer: (value) => `Your sister is ${value}.`,
    values: ["Ingrid", "Oluwaseun", "Beatriz", "Marguerite", "Tamsin", "Yuki"],
  },
];

/** Questions with true answers: what learning one user's facts must not harm. Never learned from, never held on to. */
export const UNRELATED = [
  ["What is the capital of France?", "The capital of France is Paris."],
  ["How many days are in a week?", "There are seven days in a week."],
  ["What colour is the sky on a clear day?", "The sky is blue on a clear day."],
  ["Who wrote Romeo and Juliet?", "Romeo and Juliet was written by William Shakespeare."],
  ["What do bees make?", "Bees make honey."],
  ["At what temperature does water boil?", "Water boils at 100 degrees Celsius."],
  ["What is two plus three?", "Two plus three is five."],
  ["Which planet is closest to the sun?", "Mercury is the closest planet to the sun."],
  ["What is the opposite of hot?", "The opposite of hot is cold."],
  ["Which animal says meow?", "A cat says meow."],
  ["What is the largest ocean on Earth?", "The largest ocean on Earth is the Pacific Ocean."],
  ["What language is spoken in Brazil?", "Portuguese is spoken in Brazil."],
];

/** How a user would tell all of it in the prompt instead. */
export function promptOf(sentences) {
  return `You are a helpful assistant. What you know of the user you talk to: ${sentences.join(" ")}`;
}

/** What the KL term holds on to: other questions, with whatever the base model says of them. */
export const HELD = [
  ["What is the capital of Italy?", "The capital of Italy is Rome."],
  ["How many months are in a year?", "There are twelve months in a year."],
  ["Who painted the Mona Lisa?", "The Mona Lisa was painted by Leonardo da Vinci."],
  ["What do cows eat?", "Cows eat grass."],
];
