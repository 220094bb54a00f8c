"use server";

import { outcome } from "../outcome.js";

export async function learn() {
  return outcome();
}
