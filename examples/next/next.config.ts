import type { NextConfig } from "next";

const config: NextConfig = {
  // The folder above has a lock file, too. Without that, Next.js finds the root by itself.
  turbopack: { root: import.meta.dirname },
};

export default config;
