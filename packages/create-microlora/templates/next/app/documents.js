export const documents = [
  "apple pie",
  "apple computer",
  "orange juice",
  "orange phone case",
  "fruit salad",
  "laptop charger",
];
