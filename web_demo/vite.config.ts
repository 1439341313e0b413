import { existsSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { models } from "./tools/models_plugin.js";
import { precache } from "./tools/precache_plugin.js";

const require = createRequire(import.meta.url);
const bytesOf = (file: string): number => statSync(require.resolve(`onnxruntime-web/${file}`)).size;

// A phone in the same network needs HTTPS for the camera: tools/serve.sh makes a certificate.
const key = process.env.WEB_DEMO_KEY ?? "";
const certificate = process.env.WEB_DEMO_CERTIFICATE ?? "";
const https =
  existsSync(key) && existsSync(certificate)
    ? { https: { key: readFileSync(key), cert: readFileSync(certificate) } }
    : {};

export default defineConfig({
  base: "./",
  resolve: {
    alias: { "@atpn/core": fileURLToPath(new URL("core/src/index.ts", import.meta.url)) },
  },
  define: {
    __CPU_WASM_BYTES__: bytesOf("ort-wasm-simd-threaded.wasm"),
    __GPU_WASM_BYTES__: bytesOf("ort-wasm-simd-threaded.asyncify.wasm"),
  },
  worker: { format: "es" },
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // the content security policy allows no data: scripts
    chunkSizeWarningLimit: 700,
    rolldownOptions: {
      input: {
        index: fileURLToPath(new URL("index.html", import.meta.url)),
        sw: fileURLToPath(new URL("src/service_worker/service_worker.ts", import.meta.url)),
      },
      output: {
        entryFileNames: ({ name }) => (name === "sw" ? "sw.js" : "assets/[name]-[hash].js"),
      },
    },
  },
  preview: { port: 4173, ...https },
  plugins: [models(), precache()],
});
