// Keeps a copy of the page, so that it works without a network. Online, the network comes first.

const FILES = [
  "./",
  "style.css",
  "icon.svg",
  "app.js",
  "lenet.js",
  "pad.js",
  "words.js",
  "digit.onnx",
  "ort.wasm.min.mjs",
  "ort-wasm-simd-threaded.mjs",
  "ort-wasm-simd-threaded.wasm",
];

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open("lenet").then((cache) => cache.addAll(FILES)));
  self.skipWaiting();
});
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => {
  const answer = async () => {
    try {
      const response = await fetch(event.request);
      if (response.ok) (await caches.open("lenet")).put(event.request, response.clone());
      return response;
    } catch (error) {
      const kept = await caches.match(event.request, { ignoreSearch: true });
      if (kept) return kept;
      throw error;
    }
  };
  if (event.request.method === "GET") event.respondWith(answer());
});
