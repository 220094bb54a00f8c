/** Ids of the WordPiece tokens of a text, found one after the other. */
export interface WordPieceTokenizer {
  /** Calls `visit` with each token id in order, for at most `maxTokens` tokens. */
  forEachToken(text: string, maxTokens: number, visit: (id: number) => void): void;
}

/** The id that BERT vocabularies give to a word that no sequence of pieces can spell. */
export const UNKNOWN = 100;

const MAX_WORD_CHARACTERS = 100;
const CONTINUATION = "##";
/** UTF-16 units that are cleaned at a time, since of a long text only the first tokens count. */
const PART_LENGTH = 1024;
/** Marks in a row from which on a word is too long to be known. */
const MAX_MARKS = MAX_WORD_CHARACTERS + 1;

const ASCII = /^[\t\n\r -~]*$/;
const CONTROL = /(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\p{Cs}\ufffd]/gu;
const IDEOGRAPHS =
  "\\u3400-\\u4dbf\\u4e00-\\u9fff\\uf900-\\ufaff\\u{20000}-\\u{2a6df}\\u{2a700}-\\u{2b73f}\\u{2b740}-\\u{2b81f}\\u{2b920}-\\u{2ceaf}\\u{2f800}-\\u{2fa1f}";
const IDEOGRAPH = new RegExp(`[${IDEOGRAPHS}]`, "gu");
/** Before white space that stays, or an ideograph, a text can be cut without a change of its tokens. */
const BOUNDARY = new RegExp(`[\\t\\n\\r\\p{Z}${IDEOGRAPHS}]`, "gu");
const ACCENT = /\p{Mn}/gu;
const MARKS = /\p{M}{2,}/gu;
const WORD = /[!-/:-@[-`{-~\p{P}]|[^\s!-/:-@[-`{-~\p{P}]+/gu;

/**
 * Cleans a text as BERT's uncased normaliser does: controls out, ideographs apart, accents off, lower case.
 *
 * Letters are lowered one by one, so a final capital sigma becomes a plain one; lone surrogates go with the controls.
 *
 * The Unicode normalisation of a run of combining marks takes time that grows with the square of its length. So accents are
 * removed before it too, and runs of other marks are cut where the word is unknown either way.
 */
export function normalize(text: string): string {
  if (ASCII.test(text)) return text.toLowerCase();
  return text
    .replace(CONTROL, "")
    .replace(IDEOGRAPH, " $& ")
    .replace(ACCENT, "")
    .replace(MARKS, firstMarks)
    .normalize("NFD")
    .replace(ACCENT, "")
    .replaceAll("Σ", "σ")
    .toLowerCase();
}

function firstMarks(run: string): string {
  return run.length <= MAX_MARKS ? run : [...run].slice(0, MAX_MARKS).join("");
}

/**
 * Builds the uncased WordPiece tokenizer of a vocabulary: greedy, longest piece first (Wu et al. 2016, section 4.1).
 *
 * Special tokens written out in a text, such as "[SEP]", are plain text here.
 *
 * @param vocabulary token of each id; continuations start with "##"
 */
export function createWordPiece(vocabulary: readonly string[]): WordPieceTokenizer {
  const starts = new Map<string, number>();
  const continuations = new Map<string, number>();
  let longest = 0;
  vocabulary.forEach((token, id) => {
    const continues = token.length > CONTINUATION.length && token.startsWith(CONTINUATION);
    const piece = continues ? token.slice(CONTINUATION.length) : token;
    (continues ? continuations : starts).set(piece, id);
    longest = Math.max(longest, piece.length);
  });
  const pieces: number[] = [];

  function split(word: string): void {
    pieces.length = 0;
    let start = 0;
    while (start < word.length) {
      const table = start === 0 ? starts : continuations;
      let end = Math.min(word.length, start + longest);
      let id: number | undefined;
      while (end > start && id === undefined) id = table.get(word.slice(start, end--));
      if (id === undefined) {
        pieces.length = 0;
        break;
      }
      pieces.push(id);
      start = end + 1;
    }
    if (pieces.length === 0) pieces.push(UNKNOWN);
  }

  /** Visits the tokens of a part of a text. @returns how many more may be visited */
  function visitPart(part: string, maxTokens: number, visit: (id: number) => void): number {
    const normal = normalize(part);
    let left = maxTokens;
    WORD.lastIndex = 0;
    for (let match = WORD.exec(normal); match !== null && left > 0; match = WORD.exec(normal)) {
      const word = match[0];
      const whole = starts.get(word);
      if (whole !== undefined) {
        visit(whole);
        left--;
        continue;
      }
      if (isTooLong(word)) pieces.splice(0, pieces.length, UNKNOWN);
      else split(word);
      for (let i = 0; i < pieces.length && left > 0; i++, left--) visit(pieces[i]!);
    }
    return left;
  }

  return {
    forEachToken(text, maxTokens, visit) {
      let left = maxTokens;
      for (let start = 0, end = 0; start < text.length && left > 0; start = end) {
        end = endOfPart(text, start);
        left = visitPart(text.slice(start, end), left, visit);
      }
    },
  };
}

function endOfPart(text: string, start: number): number {
  if (text.length - start <= PART_LENGTH) return text.length;
  BOUNDARY.lastIndex = start + PART_LENGTH;
  return BOUNDARY.exec(text)?.index ?? text.length;
}

function isTooLong(word: string): boolean {
  return (
    word.length > MAX_WORD_CHARACTERS &&
    (word.length > 2 * MAX_WORD_CHARACTERS || [...word].length > MAX_WORD_CHARACTERS)
  );
}
