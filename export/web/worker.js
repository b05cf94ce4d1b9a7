// Keeps a copy of the page, so that it works without a network. Online, the network comes first,
// except for the one large file.
//
// A worker is asked about everything below its folder, and on localhost:8000 that is every project
// ever served there. So this one stores the page's own files when it is installed, checked against
// their digests, and nothing after that. It answers for their exact addresses only. Everything else
// goes to the network as if there were no worker; so does any ?query, since the page uses none.

// stamp.mjs fills in both after a build, so a new build is a new worker with a new cache.
const VERSION = "";
const FILES = {};

const SCOPE = self.registration.scope;
const OWN = `lenet-keras ${SCOPE} `; // a copy of the page in another folder has caches of its own
const CACHE = OWN + VERSION;
const LASTING = /\.wasm\.gz$/; // the large file: its name says its version, so the copy will do
const ADDRESSES = new Set(Object.keys(FILES).map((file) => new URL(file, SCOPE).href));

/** Delete the page's own caches except the one named; other projects keep theirs. */
async function drop(except) {
  const own = (await caches.keys()).filter((name) => name.startsWith(OWN) && name !== except);
  await Promise.all(own.map((name) => caches.delete(name)));
}

async function keep() {
  const requests = Object.entries(FILES).map(
    ([file, integrity]) => new Request(new URL(file, SCOPE), { integrity, cache: "no-cache" }),
  );
  await (await caches.open(CACHE)).addAll(requests); // all, or none
}

async function answer(request) {
  const kept = () => caches.match(request, { cacheName: CACHE, ignoreVary: true });
  if (LASTING.test(request.url)) return (await kept()) ?? fetch(request);
  try {
    return await fetch(request);
  } catch (error) {
    const copy = await kept();
    if (copy) return copy;
    throw error;
  }
}

/** If the server no longer has this file, another project lives there: leave, copies and all. */
async function leaveIfReplaced() {
  const { ok, status, headers } = await fetch(self.location.href, { cache: "no-store" });
  const page = ok && headers.get("content-type")?.includes("html"); // given for any address
  if (status !== 404 && !page) return;
  await self.registration.unregister();
  await drop();
}

self.addEventListener("install", (event) => {
  event.waitUntil(keep());
  self.skipWaiting();
});
self.addEventListener("activate", (event) => event.waitUntil(drop(CACHE)));
self.addEventListener("fetch", (event) => {
  const { method, mode, url } = event.request;
  if (mode === "navigate") event.waitUntil(leaveIfReplaced().catch(() => {})); // offline: stay
  const address = url.split("#")[0];
  if (method === "GET" && ADDRESSES.has(address)) event.respondWith(answer(event.request));
});
