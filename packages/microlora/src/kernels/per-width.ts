import type { Runtime } from "./runtime.js";

/**
 * Work space for each width, made once in a runtime and shared by every object there: it holds nothing between two calls.
 * @param make allocates it, for good @returns where to get it @throws MicroLoraError `memory-full`
 */
export function perWidth<Room>(make: (runtime: Runtime, width: number) => Room) {
  const rooms = new WeakMap<Runtime, Map<number, Room>>();
  return (runtime: Runtime, width: number): Room => {
    let ofRuntime = rooms.get(runtime);
    if (ofRuntime === undefined) {
      ofRuntime = new Map();
      rooms.set(runtime, ofRuntime);
    }
    let room = ofRuntime.get(width);
    if (room === undefined) {
      room = make(runtime, width);
      ofRuntime.set(width, room);
    }
    return room;
  };
}
