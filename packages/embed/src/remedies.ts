/** The two ways to weights that need no file beside the code. */
export const ELSEWHERE =
  'Import from "@microlora/embed/inline", which carries the weights as code, or pass them as the option `weights`';
