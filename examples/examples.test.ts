import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";

const run = promisify(execFile);
const built = fileURLToPath(new URL("dist/", import.meta.url));

/** What each example has to say, besides ending well. */
const says: Readonly<Record<string, readonly RegExp[]>> = {
  "a-batch-of-choices.js": [/margins after: (0\.\d\d(, )?){3}/],
  "a-score-alone.js": [
    /right after \d+ scores, or after \d+ gradients/,
    /without an exploration: nothing-to-learn-from/,
  ],
  "a-guarded-language-model.js": [
    /kept [1-9]\d* times while feedback was good; then [1-9]\d* times taken back/,
    /4 requests held back, \d+ to replay\nthe same bits as without a restart: true/,
  ],
  "a-language-model-of-ones-own.js": [
    /before: facts 0\.01\d, other text 0\.01\d\nafter: {2}facts 0\.[5-9]\d+, other text 0\.0[01]\d/,
  ],
  "a-search-inside-the-transformer.js": [
    /after: {2}orange finds orange phone case\nafter: {2}apple finds apple laptop charger/,
  ],
  "guarded.js": [
    /right for 4 of 4 inputs\n/,
    /the guard took the last updates back/,
    /undone: 3/,
    /right for 4 of 4 inputs after a rollback/,
    /a new task, the old one is held on to/,
  ],
  "late-feedback.js": [
    /still waited for: 2/,
    /request-3: unknown-request\nrequest-1: expired-request\nrequest-2: clock-backwards/,
  ],
  "thumbs-up-and-down.js": [/thumbs up: a string quartet\nmusic for tonight: a string quartet/],
  "bring-your-peft-adapter.js": [
    /first logit: 0\.0004 without it, -0\.0498 with it/,
    /loss of one text 3\.67\d+, after one step 3\.6[0-6]\d+/,
    /back to PeftModel.from_pretrained: \d+ \+ \d+ bytes/,
  ],
  "from-ruvllm.js": [
    /q_proj, k_proj, v_proj, o_proj after 4 adaptations/,
    /back to MicroLoRA::load: 1341 bytes/,
    /on to PEFT: \d+ bytes for model\.layers\.0\.self_attn\.q_proj/,
  ],
  "learn-from-a-gradient.js": [/loss before: \d/, /loss after 200 requests: 0\.0/],
  "many-users.js": [/5000 users/, /row 1 is untouched: true/],
  "no-forgetting.js": [/lambda 0: loss of the first task 0\.[4-9]/, /lambda 10000: loss of the first task 0\.[0-2]/],
  "save-and-restore.js": [/same answers after a restart: true/, /wrong-base/],
  "serve-in-llama-cpp.js": [/\d+ bytes for 2 modules/, /for HuggingFaceTB\/SmolLM2-135M, read back the same: true/],
  "users-that-survive.js": [
    /the same click again: duplicate/,
    /orange, after a restart: orange phone case\nthe same bits: true/,
  ],
  "search-that-learns.js": [
    /clicked: orange phone case\norange: orange phone case/,
    /an orange one: orange phone case/,
  ],
};

describe("every example runs", () => {
  const programs = readdirSync(built).filter((name) => name.endsWith(".js"));

  test("and each one has its expectations", () => {
    expect(programs.sort()).toEqual(Object.keys(says).sort());
  });

  test.each(Object.keys(says))("%s", async (name) => {
    const { stdout, stderr } = await run(process.execPath, [`${built}${name}`]);
    expect(stderr).toBe("");
    for (const pattern of says[name]!) expect(stdout).toMatch(pattern);
  });
});
