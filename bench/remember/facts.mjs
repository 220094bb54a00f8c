// Sets of facts that a user might tell an assistant, made from a seed: entities and attributes with several wordings, so that most facts
// have near twins (a sister and a brother, a dog and a cat), and unrelated questions that resemble them.

/** A generator of numbers in [0, 1) that is the same everywhere (mulberry32). */
export function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const NAMES =
  "Amara Beatriz Cormac Dagny Elif Fergus Giulia Hiro Ines Jonas Kofi Leila Mateo Nadia Oskar Petra Quentin Rosa Soren Tamsin Ulla Viggo Wren Ximena Yusuf Zelda Anselm Briony Caspian Delphine".split(
    " ",
  );
const PET_NAMES =
  "Biscuit Orion Waffles Figaro Mango Pepper Ziggy Nimbus Truffle Comet Juniper Maple Olive Pickles Socks Tofu Widget Banjo Clover Domino".split(
    " ",
  );
const TOWNS =
  "Coimbra Galway Dunedin Bergen Lucca Salem Tartu Girona Utrecht Kobe Leeds Quito Windhoek Halifax Aarhus Ghent Pori Split Faro Izmir".split(
    " ",
  );
const TIMES = "7:15 8:40 9:20 10:05 11:38 12:30 13:10 14:45 15:25 16:10 17:55 18:05 19:30 20:20 6:50".split(" ");
const DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(" ");
const COLOURS = "teal crimson beige turquoise ochre violet olive silver maroon ivory".split(" ");
const JOBS =
  "beekeeper cartographer midwife plumber violinist welder librarian geologist baker pilot translator florist".split(
    " ",
  );
const SHOPS = [
  "Halvorsen Timber",
  "Bluefin Labs",
  "the city library",
  "Marlow and Sons",
  "Tidewater Press",
  "the harbour office",
  "Quillon Systems",
  "Oakfield School",
];
const FOODS = "gnocchi pho tamales ramen moussaka paella pierogi falafel risotto dumplings".split(" ");
const DRINKS = "rooibos jasmine assam chamomile matcha oolong".split(" ");
const ALLERGENS = "celery mustard sesame peanuts shellfish strawberries kiwi walnuts".split(" ");
const PASSWORDS = ["purple-kettle-9", "seven-otters", "mossy-banjo", "quiet-lantern-4", "copper-owl-22", "brisk-tulip"];
const NUMBERS = "17 23 31 42 58 64 79 86 90 105 118 203".split(" ");
const INSTRUMENTS = "bassoon mandolin oboe cello ukulele accordion harp trombone".split(" ");
const FILMS = "Amelie Stalker Paddington Metropolis Arrival Casablanca Ratatouille Vertigo".split(" ");
const BOOKS = "Middlemarch Dracula Emma Beloved Ulysses Kindred Dune Persuasion".split(" ");
const SPORTS = "rowing fencing badminton climbing curling judo sailing squash".split(" ");

/** Attributes: wordings of the question, the answer with @@ for the value, plain statements, values; # is the entity. */
const FAMILIES = {
  person: {
    entities:
      "sister brother mother father son daughter aunt uncle cousin neighbour boss flatmate dentist doctor landlord teacher accountant hairdresser".split(
        " ",
      ),
    questions: [
      "What is my #'s name?",
      "Who is my #?",
      "What is my # called?",
      "Do you remember my #'s name?",
      "Tell me the name of my #.",
      "Can you remind me who my # is?",
    ],
    answer: "Your #'s name is @@.",
    statements: ["My #'s name is @@.", "My # is called @@.", "@@ is my #."],
    values: NAMES,
  },
  pet: {
    entities: "dog cat parrot hamster rabbit horse goldfish tortoise pony lizard".split(" "),
    questions: [
      "What is my # called?",
      "What is the name of my #?",
      "How is my # named?",
      "Which name did I give my #?",
      "Do you know what my # answers to?",
    ],
    answer: "Your # is called @@.",
    statements: ["My # is called @@.", "I have a # named @@.", "The name of my # is @@."],
    values: PET_NAMES,
  },
  home: {
    entities: "sister brother grandmother grandfather best friend boss pen pal old teacher"
      .split(" ")
      .join(" ")
      .split(/ (?=sister|brother|grand|best|boss|pen|old)/),
    questions: [
      "Where does my # live?",
      "In which town does my # live?",
      "What town is my # in?",
      "Do you know where my #'s home is?",
      "Which city is home to my #?",
    ],
    answer: "Your # lives in @@.",
    statements: ["My # lives in @@.", "@@ is where my # lives.", "My # has a flat in @@."],
    values: TOWNS,
  },
  work: {
    entities: "wife husband sister brother father mother best friend neighbour".split(
      / (?=husband|sister|brother|father|mother|best|neighbour)/,
    ),
    questions: [
      "What does my # do for a living?",
      "What is my #'s job?",
      "Which profession does my # have?",
      "How does my # earn money?",
      "What kind of work does my # do?",
    ],
    answer: "Your # works as a @@.",
    statements: ["My # works as a @@.", "My # is a @@.", "My # earns a living as a @@."],
    values: JOBS,
  },
  time: {
    entities: [
      "dentist appointment",
      "team meeting",
      "train",
      "flight",
      "yoga class",
      "piano lesson",
      "haircut",
      "interview",
      "bus",
      "film",
    ],
    questions: [
      "When is my #?",
      "What time is my #?",
      "At what time does my # start?",
      "Do you know the time of my #?",
      "How late is my #?",
    ],
    answer: "Your # is at @@.",
    statements: ["My # is at @@.", "I have my # at @@.", "At @@ there is my #."],
    values: TIMES,
  },
  day: {
    entities: [
      "rubbish collection",
      "choir practice",
      "market day",
      "book club",
      "laundry day",
      "swimming course",
      "salary day",
    ],
    questions: [
      "On which day is my #?",
      "What day is my #?",
      "Which day of the week is my #?",
      "Do you remember the day of my #?",
      "When in the week is my #?",
    ],
    answer: "Your # is on @@.",
    statements: ["My # is on @@.", "@@ is my #.", "I have # every @@."],
    values: DAYS,
  },
  colour: {
    entities: ["bike", "front door", "car", "suitcase", "winter coat", "sofa", "kitchen", "umbrella"],
    questions: [
      "What colour is my #?",
      "Which colour does my # have?",
      "Do you know the colour of my #?",
      "My # is of what colour?",
      "What is the colour of my #?",
    ],
    answer: "Your # is @@.",
    statements: ["My # is @@.", "I own a @@ #.", "The colour of my # is @@."],
    values: COLOURS,
  },
  favourite: {
    entities: null,
    kinds: [
      ["food", FOODS],
      ["drink", DRINKS],
      ["film", FILMS],
      ["book", BOOKS],
      ["sport", SPORTS],
      ["colour", COLOURS],
      ["instrument", INSTRUMENTS],
      ["town", TOWNS],
    ],
    questions: [
      "What is my favourite #?",
      "Which # do I like best?",
      "What # do I prefer?",
      "Do you know the # that I like most?",
      "Which # is my favourite?",
    ],
    answer: "Your favourite # is @@.",
    statements: ["My favourite # is @@.", "I like @@ best of every #.", "The # that I like most is @@."],
  },
  secret: {
    entities: ["wifi", "laptop", "email", "bank card", "garage door", "phone"],
    questions: [
      "What is the password of my #?",
      "Which password does my # have?",
      "How do I unlock my #?",
      "Tell me the password for my #.",
      "Do you remember my # password?",
    ],
    answer: "The password of your # is @@.",
    statements: ["The password of my # is @@.", "My # has the password @@.", "@@ is the password of my #."],
    values: PASSWORDS,
  },
  place: {
    entities: ["passport", "spare key", "toolbox", "umbrella", "charger", "first aid kit", "sewing machine"],
    questions: [
      "Where is my #?",
      "Where did I put my #?",
      "In which place do I keep my #?",
      "Do you know where I left my #?",
      "Where can I find my #?",
    ],
    answer: "Your # is in @@.",
    statements: ["My # is in @@.", "I keep my # in @@.", "I put my # in @@."],
    values: [
      "the blue drawer",
      "the hall cupboard",
      "the attic",
      "the garage",
      "the red box",
      "the kitchen shelf",
      "the bottom desk drawer",
      "the cellar",
    ],
  },
  number: {
    entities: ["house", "locker", "parking space", "flat", "gym card", "hotel room", "bus line"],
    questions: [
      "What is the number of my #?",
      "Which number does my # have?",
      "What number is my #?",
      "Do you remember my # number?",
      "Tell me the number of my #.",
    ],
    answer: "The number of your # is @@.",
    statements: ["The number of my # is @@.", "My # has the number @@.", "@@ is the number of my #."],
    values: NUMBERS,
  },
};

/** Facts about the user that have no family. */
const SINGLES = [
  {
    questions: [
      "Where do I live?",
      "What town do I live in?",
      "Do you know where my home is?",
      "Which place do I call home?",
    ],
    answer: "You live in @@.",
    statements: ["I live in @@.", "My home is in @@.", "@@ is where I live."],
    values: TOWNS,
  },
  {
    questions: [
      "Where was I born?",
      "What is my birthplace?",
      "In which town was I born?",
      "Which town do I come from?",
    ],
    answer: "You were born in @@.",
    statements: ["I was born in @@.", "My birthplace is @@.", "I come from @@."],
    values: TOWNS,
  },
  {
    questions: [
      "Where do I work?",
      "Which company am I with?",
      "Who is my employer?",
      "What is the name of the place I work at?",
    ],
    answer: "You work at @@.",
    statements: ["I work at @@.", "My employer is @@.", "@@ is where I work."],
    values: SHOPS,
  },
  {
    questions: [
      "What is my job?",
      "Which profession do I have?",
      "How do I earn my money?",
      "What do I do for a living?",
    ],
    answer: "You work as a @@.",
    statements: ["I work as a @@.", "I am a @@.", "My job is @@."],
    values: JOBS,
  },
  {
    questions: ["What must I not eat?", "What am I allergic to?", "Which food makes me ill?", "What is my allergy?"],
    answer: "You are allergic to @@.",
    statements: ["I am allergic to @@.", "I must not eat @@.", "@@ makes me ill."],
    values: ALLERGENS,
  },
  {
    questions: [
      "Which instrument do I play?",
      "What musical instrument is mine?",
      "What do I play in the orchestra?",
      "Which instrument do I practise?",
    ],
    answer: "You play the @@.",
    statements: ["I play the @@.", "My instrument is the @@.", "I practise the @@."],
    values: INSTRUMENTS,
  },
  {
    questions: ["How old am I?", "What is my age?", "How many years old am I?", "Do you know my age?"],
    answer: "You are @@ years old.",
    statements: ["I am @@ years old.", "My age is @@.", "I turned @@ this year."],
    values: NUMBERS,
  },
  {
    questions: [
      "What do I collect?",
      "Which things are in my collection?",
      "What is my collection made of?",
      "What do I gather as a hobby?",
    ],
    answer: "You collect @@.",
    statements: ["I collect @@.", "My collection is of @@.", "I have a collection of @@."],
    values: ["stamps", "old maps", "teapots", "vinyl records", "postcards", "minerals"],
  },
  {
    questions: [
      "Where will I travel this summer?",
      "What is my holiday destination?",
      "Where do I spend my holidays?",
      "Which country will I visit?",
    ],
    answer: "You will travel to @@.",
    statements: ["I will travel to @@ this summer.", "My holiday destination is @@.", "I spend my holidays in @@."],
    values: ["Iceland", "Madeira", "Slovenia", "Chile", "Malta", "Estonia"],
  },
  {
    questions: [
      "What am I growing on my balcony?",
      "Which plants do I have on the balcony?",
      "What grows on my balcony?",
      "What did I plant on the balcony?",
    ],
    answer: "You are growing @@ on your balcony.",
    statements: ["I am growing @@ on my balcony.", "On my balcony there are @@.", "@@ grow on my balcony."],
    values: ["tomatoes", "chillies", "beans", "basil", "radishes"],
  },
  {
    questions: [
      "Which language am I learning?",
      "What language do I study?",
      "What am I learning to speak?",
      "Which language do I take lessons in?",
    ],
    answer: "You are learning @@.",
    statements: ["I am learning @@.", "I study @@.", "I take lessons in @@."],
    values: ["Finnish", "Swahili", "Welsh", "Korean", "Basque"],
  },
  {
    questions: [
      "What size of shoes do I wear?",
      "What is my shoe size?",
      "Which shoe size fits me?",
      "How large are my feet?",
    ],
    answer: "Your shoe size is @@.",
    statements: ["My shoe size is @@.", "I wear shoes of size @@.", "Shoes of size @@ fit me."],
    values: ["38", "39", "41", "43", "45"],
  },
];

/** Questions about the world that resemble those about the user. */
export const UNRELATED = [
  ["What is a baby dog called?", "A baby dog is called a puppy."],
  ["What is a female horse called?", "A female horse is called a mare."],
  ["Where does the Pope live?", "The Pope lives in Vatican City."],
  ["What does a dentist do for a living?", "A dentist takes care of teeth."],
  ["Who is the mother of Jesus?", "The mother of Jesus is Mary."],
  ["What colour is a ripe banana?", "A ripe banana is yellow."],
  ["What is the capital of Norway?", "The capital of Norway is Oslo."],
  ["When is Christmas Day?", "Christmas Day is on December 25."],
  ["How many legs does a spider have?", "A spider has eight legs."],
  ["Where was Mozart born?", "Mozart was born in Salzburg."],
  ["What is the name of the largest planet?", "The largest planet is Jupiter."],
  ["Which food do rabbits like?", "Rabbits like carrots and hay."],
  ["What is the password called that you use once?", "It is called a one-time password."],
  ["What do bakers do for a living?", "Bakers make bread."],
  ["On which day do people in many countries rest?", "Many people rest on Sunday."],
  ["Which instrument has 88 keys?", "The piano has 88 keys."],
  ["What is the number of days in a year?", "There are 365 days in a year."],
  ["Where is the Eiffel Tower?", "The Eiffel Tower is in Paris."],
  ["What is my opposite of left?", "The opposite of left is right."],
  ["Who wrote the play Hamlet?", "Hamlet was written by William Shakespeare."],
  ["How do plants make food?", "Plants make food by photosynthesis."],
  ["What time is noon?", "Noon is at 12 o'clock."],
  ["What is the favourite food of pandas?", "The favourite food of pandas is bamboo."],
  ["Which language is spoken in Chile?", "Spanish is spoken in Chile."],
];

/** Questions of users about themselves that no fact answers, though many share its words. */
export const ADVICE = [
  ["How can I train my dog?", "Reward your dog with treats and practise every day."],
  ["What should I cook for my sister?", "You could cook pasta with vegetables."],
  ["How do I change a wifi password?", "Open the settings of your router and choose a new password."],
  ["What is a good name for my cat?", "A good name for a cat is Luna."],
  ["Should I bring my passport to the airport?", "Yes, bring your passport to the airport."],
  ["How can I make my bike faster?", "Pump up the tyres and oil the chain."],
  ["Which present should I buy for my mother?", "You could buy flowers for your mother."],
  ["How do I clean my sofa?", "Use a vacuum cleaner and a damp cloth."],
  ["What can I do when I am bored?", "You can read a book or go for a walk."],
  ["How do I write an email to my boss?", "Start with a greeting and be brief."],
  ["Why does my car make a noise?", "It may be the brakes or the exhaust."],
  ["How long should I boil my egg?", "Boil it for about seven minutes."],
];

/** Every fact that can be made, of the families that a set has. */
function allFacts(families) {
  const filled = families.flatMap((name) => {
    const family = FAMILIES[name];
    const kinds = family.kinds ?? family.entities.map((entity) => [entity, family.values]);
    return kinds.map(([entity, values]) => {
      const put = (text) => text.replaceAll("#", entity);
      return {
        family: name,
        q: family.questions.map(put),
        a: put(family.answer),
        s: family.statements.map(put),
        v: values,
      };
    });
  });
  return [
    ...filled,
    ...SINGLES.map(({ questions, answer, statements, values }) => ({
      family: "single",
      q: questions,
      a: answer,
      s: statements,
      v: values,
    })),
  ];
}

export const SETS = {
  people: ["person", "pet", "home", "work"],
  things: ["time", "day", "colour", "place", "number"],
  mixed: Object.keys(FAMILIES),
};

/** A user's facts. @returns [{ q, a, s, value, other }]: q has several wordings, the first of which is told; a is the answer with the value */
export function userFacts(set, seed, count) {
  const random = randomOf(seed * 7919 + set.length * 104729);
  const all = shuffled(allFacts(SETS[set]), random).slice(0, count);
  return all.map(({ q, a, s, v, family }) => {
    const questions = shuffled(q, random);
    const [value, other] = shuffled(v, random);
    const put = (text, word) => text.replaceAll("@@", word);
    return {
      family,
      q: questions,
      a: put(a, value),
      another: put(a, other),
      s: s.map((text) => put(text, value)),
      value,
      other,
    };
  });
}

export function shuffled(list, random) {
  const items = [...list];
  for (let i = items.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [items[i], items[j]] = [items[j], items[i]];
  }
  return items;
}

/** Facts of a file { facts: [{ q, a, v }] }, for a user: values by turns, statements made from the answers. */
export function fileFacts({ facts }, seed, count) {
  const random = randomOf(seed);
  return shuffled(facts, random)
    .slice(0, count)
    .map(({ q, a, v }) => {
      const [value, other] = [v[seed % v.length], v[(seed + 1) % v.length]];
      const put = (text, word) => text.replaceAll("@@", word);
      const mine = a
        .replace(/^Your\b/, "My")
        .replace(/^You are\b/, "I am")
        .replace(/^You\b/, "I")
        .replace(/\byour\b/g, "my")
        .replace(/\byou\b/g, "I");
      return {
        family: "file",
        q: shuffled(q, random),
        a: put(a, value),
        another: put(a, other),
        s: [put(mine, value)],
        value,
        other,
      };
    });
}
