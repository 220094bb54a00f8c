/** The key of the notes under which it is kept whose names a file's tensors have. */
export const LAYOUT_NOTE = "layout";
