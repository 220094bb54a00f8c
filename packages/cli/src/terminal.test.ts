import { expect, test } from "vitest";
import { bar, columns } from "./terminal.js";

test("columns line up, the first to the left and the others to the right", () => {
  expect(
    columns(
      [
        ["a", "1.5"],
        ["long", "10"],
      ],
      " | ",
    ),
  ).toEqual(["a    | 1.5", "long |  10"]);
});

test("a bar is as long as it is wide, whatever it is asked for", () => {
  for (const done of [-1, 0, 0.3, 1, 7]) expect([...bar(done, 10)]).toHaveLength(10);
  expect(bar(0.5, 4)).toBe("██░░");
});
