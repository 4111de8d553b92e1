// Draws what the node tells about itself. Reads only; nothing is loaded from elsewhere and nothing is kept but the
// key of this tab's session, until the tab is closed. All text is set as text: no peer can put markup here.
"use strict";

const EVERY = 3000;
const SVG = "http://www.w3.org/2000/svg";
const $ = (id) => document.getElementById(id);

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function drawn(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

const number = (value, digits = 2, unit = "") => (value == null ? "–" : value.toFixed(digits) + unit);
const share = (value) => (value == null ? "–" : (100 * value).toFixed(1) + " %");

function size(count) {
  const units = ["B", "kB", "MB", "GB"];
  let unit = 0;
  while (Math.abs(count) >= 999.95 && unit < 3) { count /= 1000; unit += 1; }
  return `${count.toFixed(unit ? 1 : 0)} ${units[unit]}`;
}

function span(seconds) {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  if (seconds < 5970) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

const ago = (moment, now) => (!moment ? "never" : now - moment < 1.5 ? "now" : `${span(now - moment)} ago`);

function fill(id, columns, rows, nothing) {
  const head = element("thead");
  const titles = head.appendChild(element("tr"));
  for (const column of columns) titles.append(element("th", column, { scope: "col" }));
  const body = element("tbody");
  for (const row of rows) {
    const line = body.appendChild(element("tr"));
    row.forEach((cell, n) => {
      const [text, style] = Array.isArray(cell) ? cell : [cell, ""];
      line.append(element("td", text, { "data-what": columns[n], class: style }));
    });
  }
  if (!rows.length) body.appendChild(element("tr")).append(element("td", nothing, { class: "empty", colspan: columns.length }));
  $(id).replaceChildren(...(rows.length ? [head] : []), body);
}

function chart(stats) {
  const rounds = [...stats.rounds].reverse();
  const all = rounds.flatMap((r) => [r.rmse_best, r.rmse_alone, r.rmse_genesis]).filter((v) => v != null);
  const svg = $("chart");
  if (!all.length) {
    svg.replaceChildren(drawn("text", { x: 320, y: 120, "text-anchor": "middle" }, "No round has been finished yet."));
    $("legend").replaceChildren();
    return;
  }
  const low = Math.min(...all), high = Math.max(...all), room = Math.max((high - low) * 0.1, 0.02);
  const y = (v) => 16 + 190 * (1 - (v - low + room) / (high - low + 2 * room));
  const x = (n) => (rounds.length === 1 ? 340 : 64 + (560 * n) / (rounds.length - 1));
  const parts = [];
  for (let k = 0; k <= 4; k += 1) {
    const v = low - room + ((high - low + 2 * room) * k) / 4;
    parts.push(drawn("line", { x1: 60, x2: 628, y1: y(v), y2: y(v), class: "grid" }));
    parts.push(drawn("text", { x: 52, y: y(v) + 4, "text-anchor": "end" }, v.toFixed(2)));
  }
  const step = Math.max(1, Math.ceil(rounds.length / 8));
  rounds.forEach((r, n) => {
    if (n % step === 0) parts.push(drawn("text", { x: x(n), y: 228, "text-anchor": "middle" }, `${r.number}`));
  });
  // The dashed line comes last: where both lines are one, both colours are seen.
  for (const [key, style] of [["rmse_genesis", "genesis"], ["rmse_best", "best"], ["rmse_alone", "alone"]]) {
    const points = rounds.map((r, n) => (r[key] == null ? null : `${x(n).toFixed(1)},${y(r[key]).toFixed(1)}`)).filter(Boolean);
    if (points.length > 1) parts.push(drawn("polyline", { points: points.join(" "), class: `trace ${style}` }));
  }
  rounds.forEach((r, n) => {
    const before = n ? rounds[n - 1].rmse_best : r.number === 1 ? r.rmse_genesis : null;
    const lifted = r.merged > 0 && before != null && r.rmse_best < before && r.rmse_alone != null && r.rmse_best < r.rmse_alone;
    const dot = drawn("circle", { cx: x(n), cy: y(r.rmse_best), r: lifted ? 5 : 2.5, class: lifted ? "dot lifted" : "dot" });
    dot.append(drawn("title", {}, `Round ${r.number}: ${r.rmse_best.toFixed(3)} dB, ${r.merged} updates merged`));
    parts.push(dot);
  });
  svg.replaceChildren(...parts);
  const last = rounds[rounds.length - 1];
  $("legend").replaceChildren(
    element("span", `your model ${number(last.rmse_best, 3, " dB")} (large dot: merging with peers made it the best)`, { class: "key-best" }),
    element("span", `training alone ${number(last.rmse_alone, 3, " dB")}`, { class: "key-alone" }),
    element("span", `where everybody starts ${number(last.rmse_genesis, 3, " dB")}`, { class: "key-genesis" }),
  );
}

function tiles(stats) {
  const trusted = stats.peers.filter((p) => p.trust === "trusted");
  const connected = trusted.filter((p) => p.connected).length;
  const waiting = stats.peers.filter((p) => p.trust === "waiting").length;
  const facts = [
    ["Rounds", `${stats.quality.rounds}`],
    ["Less squared error than the start", share(stats.quality.gain)],
    ["Less squared error than training alone", share(stats.quality.gain_of_peers)],
    ["Peers connected", `${connected} of ${trusted.length}` + (waiting ? `, ${waiting} waiting` : "")],
    ["Bytes in / out", `${size(stats.traffic.bytes_in)} / ${size(stats.traffic.bytes_out)}`],
    ["Memory", stats.memory == null ? "–" : size(stats.memory)],
  ];
  $("tiles").replaceChildren(...facts.map(([what, value]) => {
    const tile = element("div");
    tile.append(element("dt", what), element("dd", value));
    return tile;
  }));
}

function show(stats) {
  $("name").textContent = stats.name || "Babelmesh";
  document.title = `${stats.name || "Babelmesh"}: ${stats.phase}`;
  const epoch = stats.epoch.epoch ? `, epoch ${stats.epoch.epoch}${stats.epoch.epochs ? " of " + stats.epoch.epochs : ""}` : "";
  const next = stats.next_round_at ? `, next round in ${span(Math.max(0, stats.next_round_at - stats.at))}` : "";
  state(stats.phase + epoch + next + (stats.note ? `. ${stats.note}` : ""), false);
  $("sentence").textContent = stats.quality.sentence;
  chart(stats);
  tiles(stats);
  $("privacy").textContent = `No speech, ever. ${stats.privacy.sentence}`;
  $("privacy").className = stats.privacy.state === "open" ? "" : "wrong";
  fill("peers", ["name", "id", "state", "seen", "in / out", "last update"], stats.peers.map((p) => [
    p.name || "–", `${p.peer.slice(0, 14)}…`, [p.state, p.connected ? "good" : ""], ago(p.seen_at, stats.at),
    `${size(p.bytes_in)} / ${size(p.bytes_out)}`,
    [p.last_verdict ? p.last_verdict + (p.last_reason ? `: ${p.last_reason}` : "") : "–", p.last_verdict === "merged" ? "good" : ""],
  ]), "No peers yet: node peers pair");
  const names = Object.fromEntries(stats.peers.map((p) => [p.peer, p.name]));
  $("verdicts").textContent = Object.entries(stats.verdicts).map(([word, count]) => `${count} ${word}`).join(", ");
  fill("updates", ["when", "from", "size", "verdict", "in merge"], stats.updates.slice(0, 8).map((u) => [
    ago(u.received_at, stats.at), names[u.peer] || `${u.peer.slice(0, 14)}…`, size(u.size),
    [u.verdict + (u.reason ? `: ${u.reason}` : ""), { merged: "good", refused: "wrong" }[u.verdict] || ""], share(u.share),
  ]), "None has come yet.");
  fill("jobs", ["when", "recording", "language", "length", "took", "pace"], stats.jobs.slice(0, 10).map((j) => [
    ago(j.at, stats.at), j.source, j.language, span(j.seconds_in), span(j.seconds),
    j.pace ? `${(1 / j.pace).toFixed(1)} × real time` : "–",
  ]), "None yet: node translate RECORDING --to es");
  $("where").textContent = `${stats.peer_id || "no id yet"} · ${stats.home}`;
  $("all").hidden = false;
}

function state(text, lost) {
  $("state").textContent = text;
  $("state").className = lost ? "lost" : "";
}

async function session() {
  const ticket = location.hash.slice(1);
  if (ticket) {
    history.replaceState(null, "", "/");
    const response = await fetch("/v1/page/session", {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ ticket }),
    });
    if (response.ok) sessionStorage.setItem("key", (await response.json()).key);
    else sessionStorage.removeItem("key");
  }
  return sessionStorage.getItem("key");
}

async function watch() {
  const key = await session();
  if (!key) {
    state("This page needs a ticket: open it with node stats --web", true);
    return;
  }
  for (;;) {
    try {
      const response = await fetch("/v1/stats", { headers: { authorization: `Bearer ${key}` } });
      if (response.status === 401) {
        state("The node was started again: open the page with node stats --web", true);
        return;
      }
      if (response.ok) show(await response.json());
      else state((await response.json()).error.sentence, true);
    } catch {
      state("The node does not answer: it has ended, or is being started again.", true);
    }
    await new Promise((done) => setTimeout(done, document.hidden ? 10 * EVERY : EVERY));
  }
}

watch();
