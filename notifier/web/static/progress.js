// Keeps the numbers of a message up to date. Where scripts do not run, the page looks again by itself.
"use strict";

const live = document.querySelector("[data-events]");

if (live) {
  const source = new EventSource(live.dataset.events);
  source.addEventListener("numbers", (event) => {
    const wasOpen = live.querySelector("details")?.open;
    live.innerHTML = event.data;
    const details = live.querySelector("details");
    if (details && wasOpen) details.open = true;
  });
  source.addEventListener("end", () => {
    source.close();
    location.reload();
  });
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 10000);
  });
}
