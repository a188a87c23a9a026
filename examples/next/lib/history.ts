import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { UIMessage } from "ai";

// The place of your database.
const FOLDER = join(tmpdir(), "sluice-example-next");

/** Returns the messages of a chat. */
export async function load(id: string): Promise<UIMessage[]> {
  const json = await readFile(fileOf(id), "utf8").catch(() => "[]");
  return JSON.parse(json) as UIMessage[];
}

export async function save(id: string, messages: UIMessage[]): Promise<void> {
  await mkdir(FOLDER, { recursive: true });
  await writeFile(`${fileOf(id)}.new`, JSON.stringify(messages));
  await rename(`${fileOf(id)}.new`, fileOf(id)); // whoever reads it gets all or nothing of it
}

function fileOf(id: string): string {
  if (!/^[\w-]+$/.test(id)) throw new Error("Not the id of a chat");
  return join(FOLDER, `${id}.json`);
}
