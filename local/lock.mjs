// A lock that processes take on a folder. Plain JavaScript on Node alone: the set-up takes one before anything is installed.
import { linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** The process that a lock names; 0 where it is gone by now or names none. */
function holderOf(file) {
  try {
    return Number(readFileSync(file, "utf8")) || 0;
  } catch (error) {
    if (error.code === "ENOENT") return 0;
    throw error;
  }
}

/**
 * Takes the lock for this process, or says who has it. One left behind by a process that is gone is taken over, and so is
 * one with this process's own id, which in a container is often that of the run before.
 * @param file in a folder that exists
 * @returns the holder's process id; undefined when the lock is taken, to be given back by removing the file
 */
export function takeLock(file) {
  const own = `${file}.${process.pid}`;
  writeFileSync(own, String(process.pid));
  try {
    for (;;) {
      try {
        // A link makes the lock appear with its content: an empty one would look as if its process were gone.
        linkSync(own, file);
        return undefined;
      } catch (error) {
        if (error.code !== "EEXIST") throw error;
      }
      const holder = holderOf(file);
      if (holder > 0 && holder !== process.pid && isAlive(holder)) return holder;
      rmSync(file, { force: true });
    }
  } finally {
    rmSync(own, { force: true });
  }
}
