import { gzipSync } from "node:zlib";

import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

const backend = process.env.RINGDESK_BACKEND ?? "http://127.0.0.1:8080";
const FIRST_LOAD_KB = 250;

/** The bundle fails when the scripts that the desk needs before it can be used outgrow the budget. */
function budget(): Plugin {
  return {
    name: "first-load-budget",
    generateBundle(_, bundle) {
      const sizes = new Map<string, number>();
      const visit = (file: string): void => {
        const chunk = bundle[file];
        if (chunk?.type !== "chunk" || sizes.has(file)) return;
        sizes.set(file, gzipSync(chunk.code).length);
        chunk.imports.forEach(visit);
      };
      for (const chunk of Object.values(bundle)) {
        // One catalog of texts is loaded beside the entry: the longer one is counted.
        if (chunk.type === "chunk" && (chunk.isEntry || chunk.name === "en")) visit(chunk.fileName);
      }
      const total = [...sizes.values()].reduce((sum, size) => sum + size, 0) / 1024;
      this.info(`first load ${total.toFixed(1)} KB gzip of ${FIRST_LOAD_KB} KB`);
      if (total > FIRST_LOAD_KB) this.error(`first load is ${total.toFixed(1)} KB gzip, the budget is ${FIRST_LOAD_KB} KB`);
    },
  };
}

export default defineConfig({
  plugins: [react(), budget()],
  resolve: { alias: { "@": new URL("./src", import.meta.url).pathname } },
  // A strict Content-Security-Policy forbids data: fonts and inline scripts, so nothing is inlined.
  build: { assetsInlineLimit: 0, modulePreload: { polyfill: false }, target: "es2022" },
  server: {
    proxy: {
      "/api": backend,
      "/demo/": backend,
      "/socket.io": { target: backend, ws: true },
    },
  },
});
