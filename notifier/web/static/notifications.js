// Turns notifications of an area on and off, on this device. Where scripts do not run, the page says how else to be told.
"use strict";

const box = document.querySelector("[data-push]");
const { key, area } = box.dataset;
const canPush = "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;
const isAtHome = navigator.standalone === true || matchMedia("(display-mode: standalone)").matches;
const isApplePhone = "standalone" in navigator && !isAtHome; // only from the Home Screen may a page ask there

function say(state) {
  for (const part of box.querySelectorAll("[data-when]")) part.hidden = part.dataset.when !== state;
  box.dataset.state = state;
}

async function act(button, doing) {
  button.disabled = true;
  box.setAttribute("aria-busy", "true");
  try {
    say(await doing());
  } catch (error) {
    console.warn("notifications", error);
    say("failed");
  } finally {
    button.disabled = false;
    box.removeAttribute("aria-busy");
    box.querySelector("h2").focus();
  }
}

async function turnOn() {
  const allowed = await Notification.requestPermission();
  if (allowed === "denied") return "blocked";
  if (allowed !== "granted") return "off";
  await navigator.serviceWorker.register("/push.js");
  const { pushManager } = await navigator.serviceWorker.ready;
  return shown(await ask("", await subscribed(pushManager)));
}

async function turnOff() {
  const subscription = await held();
  if (!subscription) return "off";
  const answer = await ask("/stop", subscription);
  if (!answer.areas.length) await subscription.unsubscribe();
  return shown(answer);
}

async function look() {
  if (!canPush) return isApplePhone ? "install" : "unable";
  if (Notification.permission === "denied") return "blocked";
  const subscription = await held();
  return subscription ? shown(await ask("/state", subscription)) : "off";
}

function shown(answer) {
  if (answer.manage_url) box.querySelector("[data-manage]").href = new URL(answer.manage_url).pathname;
  return answer.areas.includes(area) ? "on" : "off";
}

async function held() {
  const registration = await navigator.serviceWorker.getRegistration("/");
  return registration ? registration.pushManager.getSubscription() : null;
}

// One subscription for the whole site. One that was made for an older key of ours is of no use any more.
async function subscribed(pushManager) {
  const applicationServerKey = octets(key);
  const before = await pushManager.getSubscription();
  const isOurs = before && same(before.options.applicationServerKey, applicationServerKey);
  if (isOurs) return before;
  if (before) await before.unsubscribe();
  return pushManager.subscribe({ userVisibleOnly: true, applicationServerKey });
}

async function ask(what, subscription) {
  const { endpoint, keys } = subscription.toJSON();
  const answer = await fetch(`/areas/${area}/push${what}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      subscription: { endpoint, keys: { p256dh: keys.p256dh, auth: keys.auth } },
      language: document.documentElement.lang,
    }),
  });
  if (!answer.ok) throw new Error(`${what || "/on"} answered ${answer.status}`);
  return answer.json();
}

function octets(text) {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (sign) => sign.charCodeAt(0));
}

function same(buffer, wanted) {
  if (!buffer) return false;
  const given = new Uint8Array(buffer);
  return given.length === wanted.length && given.every((octet, place) => octet === wanted[place]);
}

for (const [name, doing] of [["on", turnOn], ["off", turnOff]]) {
  for (const button of box.querySelectorAll(`[data-turn=${name}]`)) {
    button.addEventListener("click", () => act(button, doing));
  }
}
look().then(say, () => say("off"));
