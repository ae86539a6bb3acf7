/* Sends events of a page. Sets no cookie, stores nothing on the device, takes no fingerprint, and is
 * silent where the visitor asks for that by Do Not Track or Global Privacy Control.
 * <script src="https://analytics.example.org/analytics.js" data-key="aa_live_..." async></script>
 */
(function () {
  "use strict";
  var MOST_WAITING = 200, MOST_AT_ONCE = 50, KEEPALIVE_CHARACTERS = 20000, PAUSE = 500,
    CAP = 60000, PATIENCE = 15000;
  var script = document.currentScript;
  var options = script.dataset;
  var address = new URL("api/analytics/events", script.src).href;
  var early = Array.isArray(window.analytics) ? window.analytics : [];
  var silent = navigator.globalPrivacyControl || navigator.doNotTrack === "1" ||
    window.doNotTrack === "1";
  // Each has its event, and how it is under way: 0 not at all, 1 by a request that ends with the
  // page, 2 by one that outlives it.
  var waiting = [], timer, failures = 0, atOnce = MOST_AT_ONCE;
  var user = options.user, session, began;

  function uuid() {
    var bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = bytes[6] & 15 | 64;
    bytes[8] = bytes[8] & 63 | 128;
    return Array.from(bytes, function (byte, n) {
      return (/^(4|6|8|10)$/.test(n) ? "-" : "") + (byte + 256).toString(16).slice(1);
    }).join("");
  }

  function track(type, data, envelope) {
    if (silent || waiting.length >= MOST_WAITING) return null;
    var event = Object.assign({
      event_id: uuid(), event_type: type, timestamp: new Date().toISOString(),
      session_id: session, user_id: user, event_data: data || {}
    }, envelope);
    waiting.push({ event: event, way: 0 });
    later(PAUSE);
    return event.event_id;
  }

  function later(pause) {
    timer = timer || setTimeout(function () { timer = 0; send(false); }, pause);
  }

  function forget(items) {
    waiting = waiting.filter(function (item) { return items.indexOf(item) < 0; });
  }

  function again(items, answer) {
    var asked = answer && Number(answer.headers.get("Retry-After")) || 0;
    items.forEach(function (item) { item.way = 0; });
    clearTimeout(timer);
    timer = 0;
    later(asked * 1000 + Math.random() * Math.min(CAP, PAUSE * Math.pow(2, failures++)));
  }

  function send(leaving) {
    var characters = 0;
    if (!leaving && waiting.some(function (item) { return item.way; })) return;
    var items = waiting.filter(function (item) {
      return leaving ? item.way < 2 : !item.way;
    }).slice(0, leaving ? MOST_WAITING : atOnce).filter(function (item) {
      // Browsers let pages leave 64 KiB behind; a character is up to 3 bytes.
      characters += JSON.stringify(item.event).length;
      return !leaving || characters < KEEPALIVE_CHARACTERS;
    });
    if (!items.length) return;
    items.forEach(function (item) { item.way = leaving ? 2 : 1; });
    var limit = leaving || !AbortSignal.timeout ? null : AbortSignal.timeout(PATIENCE);
    fetch(address, {
      method: "POST", keepalive: leaving, signal: limit, credentials: "omit", referrerPolicy: "no-referrer",
      headers: { "Authorization": "Bearer " + options.key, "Content-Type": "application/json" },
      body: JSON.stringify({
        sent_at: new Date().toISOString(),
        batch: items.map(function (item) { return item.event; })
      })
    }).then(function (answer) {
      var status = answer.status;
      if (status === 202) return answer.json().then(function (told) { settle(items, told, answer); });
      if (status === 408 || status === 429 || status >= 500) return again(items, answer);
      if (items.length > 1 && status !== 401 && status !== 403) {
        // One of them is at fault: find it by sending fewer.
        atOnce = Math.ceil(items.length / 2);
        return again(items);
      }
      console.warn("analytics: refused with " + status);
      forget(items);
      if (waiting.length) later(PAUSE);
    }).catch(function () { again(items); });
  }

  function settle(items, told, answer) {
    var left = items.filter(function (item, n) {
      var result = told.results[n];
      if (result.errors) console.warn("analytics: " + item.event.event_type, result.errors);
      return result.status === "retry";
    });
    forget(items.filter(function (item) { return left.indexOf(item) < 0; }));
    if (left.length) return again(left, answer);
    failures = 0;
    atOnce = MOST_AT_ONCE;
    if (waiting.length) later(0);
  }

  function start() {
    session = options.session || uuid();
    began = Date.now();
    // Without its query: those name people more often than pages.
    track("session.started", { entry_page: location.pathname });
  }

  window.analytics = {
    track: track,
    push: function (call) { return track.apply(null, call); },
    identify: function (id) { user = id || undefined; },
    flush: function () { send(true); }
  };
  start();
  early.forEach(window.analytics.push);
  addEventListener("pagehide", function () {
    track("session.ended", { duration_seconds: (Date.now() - began) / 1000 });
    // Not every browser hides a page that it leaves.
    send(true);
  });
  addEventListener("pageshow", function (shown) {
    if (!shown.persisted) return;
    // Out of the browser's cache: nobody knows what became of requests under way.
    waiting.forEach(function (item) { item.way = 0; });
    start();
  });
  document.addEventListener("visibilitychange", function () {
    if (document.visibilityState === "hidden") send(true);
  });
})();
