// How the page is built: into the Python package, and in development against a platform on this machine.
import { defineConfig } from "vite";

const platform = "http://127.0.0.1:8400";

export default defineConfig({
  base: "/",
  build: {
    outDir: "../src/tieline/web/built",
    emptyOutDir: true,
    assetsInlineLimit: 0, // the Content-Security-Policy allows no data: addresses
    modulePreload: { polyfill: false },
    target: "es2022",
  },
  server: { proxy: { "/v1": platform, "/health": platform } },
});
