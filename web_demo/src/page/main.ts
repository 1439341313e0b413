/** Starts the page. */

import { App } from "./app.js";
import { keepOffline } from "./offline.js";
import { View } from "./view.js";

const view = new View();
const app = new App(view);
if (new URLSearchParams(location.search).has("hook")) {
  const { installHook } = await import("./hook.js");
  installHook(app);
}
await app.load();
if (import.meta.env.PROD && (await keepOffline())) {
  view.showOffline();
}
