import { expect, test } from "vitest";
import { TUNING_GROUPS } from "./hyperparameters.js";
import { groupsAmong, parseOptions } from "./options.js";
import { UsageError } from "./usage-error.js";

const groups = [...TUNING_GROUPS, "Objects", "Flags"];

test("without arguments, one user of any taste", () => {
  const report = "microlora-report.html";
  expect(parseOptions([], groups)).toEqual({ seed: 1, seeds: 1, among: "all", json: false, report });
});

test("everything that can be asked for", () => {
  const args = "--seed 3 --seeds 20 --group Objects --among others --clicks 10 --rank 2 --json --no-report".split(" ");
  const expected = {
    seed: 3,
    seeds: 20,
    group: "Objects",
    among: "others",
    clicks: 10,
    rank: 2,
    json: true,
    report: null,
  };
  expect(parseOptions(args, groups)).toEqual(expected);
});

test.each([
  [["--seed", "x"], /--seed/],
  [["--seed", "1.5"], /--seed/],
  [["--seeds", "0"], /--seeds/],
  [["--rank", "65"], /--rank/],
  [["--clicks", "-1"], /--clicks/],
  [["--clicks", "0"], /--clicks/],
  [["--clicks="], /--clicks/],
  [["--group", "Nobody"], /Nobody.*Objects/],
  [["--among", "some"], /--among/],
  [["--frobnicate"], /frobnicate/],
  [["word"], /word/],
])("%j is refused", (args, message) => {
  expect(() => parseOptions(args, groups)).toThrow(UsageError);
  expect(() => parseOptions(args, groups)).toThrow(message);
});

test("the groups that were tuned on, and the others", () => {
  expect(groupsAmong("all", groups)).toEqual(groups);
  expect(groupsAmong("tuning", groups)).toEqual([...TUNING_GROUPS]);
  expect(groupsAmong("others", groups)).toEqual(["Objects", "Flags"]);
});
