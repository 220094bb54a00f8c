"use client";

import { useEffect, useState } from "react";
import { outcome } from "../outcome.js";

export default function Page() {
  const [told, setTold] = useState();
  useEffect(() => {
    outcome().then(setTold);
  }, []);
  return told ? <pre data-outcome={JSON.stringify(told)} /> : <p>Learning</p>;
}
