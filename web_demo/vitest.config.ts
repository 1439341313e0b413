import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const project = (name: string, include: string, timeout: number) => ({
  extends: true as const,
  test: {
    name,
    include: [include],
    testTimeout: timeout,
    hookTimeout: timeout,
    fileParallelism: false,
  },
});

export default defineConfig({
  resolve: {
    alias: { "@atpn/core": fileURLToPath(new URL("core/src/index.ts", import.meta.url)) },
  },
  test: {
    projects: [
      project("core", "core/test/**/*.test.ts", 120_000),
      project("browser", "tests/*.test.ts", 300_000),
      project("screenshots", "tests/pictures/*.test.ts", 120_000),
    ],
  },
});
