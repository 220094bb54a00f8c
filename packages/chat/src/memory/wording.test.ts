import { expect, test } from "vitest";
import { differInValueOnly, inSecondPerson, isFirstPerson } from "./wording.js";

test.each([
  ["My dog is called Rex.", "Your dog is called Rex."],
  ["I live in Ghent.", "You live in Ghent."],
  ["I am a beekeeper and I was born in Bonn.", "You are a beekeeper and you were born in Bonn."],
  ["My sister was here with me.", "Your sister was here with you."],
  ["On my balcony I'm growing beans.", "On your balcony you're growing beans."],
])("%s", (said, told) => expect(inSecondPerson(said)).toBe(told));

test("first persons are found as words", () => {
  expect(isFirstPerson("What is my dog called?")).toBe(true);
  expect(isFirstPerson("What is a mystery?")).toBe(false);
});

test.each([
  ["Your dog is called Rex.", "Your dog is called Old Tom.", "What is my dog called?", true],
  ["Your dog is called Rex.", "Your cat is called Rex.", "What is my dog called? What is my cat called?", false],
  ["Your dog is called Rex.", "Your cat is called Tom.", "What is my dog called? What is my cat called?", false],
  ["You live in Ghent.", "You were born in Ghent.", "Where do I live? Where was I born?", false],
])("%s / %s", (a, b, questions, same) => expect(differInValueOnly(a, b, questions)).toBe(same));
