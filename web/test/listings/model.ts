let failures = 1;

/** Writes about something, and fails the first time. */
export async function write(topic: string): Promise<string[]> {
  if (failures-- > 0) throw new Error("The model is busy");
  return [`All about ${topic}`, "in a few", "words"];
}
