import { Window } from "happy-dom";

/** A page in Node: puts its globals there. @returns what closes it */
export function openWindow() {
  const window = new Window();
  globalThis.window = window;
  for (const name of ["document", "navigator", "HTMLElement", "HTMLIFrameElement", "Node"]) {
    Object.defineProperty(globalThis, name, { value: window[name], configurable: true });
  }
  return () => window.happyDOM.close();
}
