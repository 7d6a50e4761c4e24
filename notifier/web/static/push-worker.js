// Shows the notifications that come in, and opens what they are about. Served as /push.js, for the whole site.
"use strict";

self.addEventListener("push", (event) => event.waitUntil(show(event.data)));
self.addEventListener("notificationclick", (event) => event.waitUntil(open(event)));
self.addEventListener("pushsubscriptionchange", (event) =>
  event.waitUntil(renew(event.oldSubscription, event.newSubscription)),
);

// What `channels/push_web.py` sends. A browser ends a subscription whose pushes show nothing, so anything is shown.
async function show(data) {
  let words = {};
  try {
    words = data.json();
  } catch {
    words = { title: data ? data.text().slice(0, 200) : "" };
  }
  const actions = Array.isArray(words.actions) ? words.actions : [];
  await self.registration.showNotification(words.title || self.location.host, {
    body: words.body || "",
    lang: words.lang || "en",
    dir: "auto",
    tag: words.tag || "", // a second try of the same message replaces the first, and makes no sound
    icon: "/static/icon-192.png",
    badge: "/static/badge-96.png",
    requireInteraction: words.urgent === "yes",
    actions: actions.map((each, number) => ({ action: String(number), title: each.title })),
    data: { url: words.url, actions: actions.map((each) => each.url) },
  });
}

async function open(event) {
  const { notification, action } = event;
  notification.close();
  const data = notification.data || {};
  const url = ours(action ? data.actions[Number(action)] : data.url);
  const pages = await self.clients.matchAll({ type: "window" });
  const there = pages.find((page) => page.url === url.href);
  await (there ? there.focus() : self.clients.openWindow(url.href));
}

// Only our own pages, whatever a push says.
function ours(address) {
  const url = new URL(address || "/", self.location.origin);
  return url.origin === self.location.origin ? url : new URL("/", self.location.origin);
}

// The browser gave up one subscription for another: say so, or this device would hear nothing more.
async function renew(before, now) {
  if (!before) return;
  const made = now || (await self.registration.pushManager.subscribe(before.options));
  await fetch("/push/renew", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ old: wire(before), new: wire(made) }),
  });
}

function wire(subscription) {
  const { endpoint, keys } = subscription.toJSON();
  return { endpoint, keys: { p256dh: keys.p256dh, auth: keys.auth } };
}
