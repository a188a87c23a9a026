import { createServer } from "@sluicehq/sluice/server";

export const sluice = createServer({ url: process.env.SLUICE_URL!, apiKey: process.env.SLUICE_API_KEY! });
