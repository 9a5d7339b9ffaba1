import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const backend = process.env.RINGDESK_BACKEND ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react()],
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
