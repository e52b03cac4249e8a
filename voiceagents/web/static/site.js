// What the pages do in the browser beside htmx: times in the reader's zone, plots, the transcript beside the recording.
"use strict";
(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const thisYear = new Date().getFullYear();

  const clock = (instant) => {
    const today = new Date().toDateString() === instant.toDateString();
    const day = { day: "numeric", month: "short", ...(instant.getFullYear() === thisYear ? {} : { year: "numeric" }) };
    const time = { hour: "2-digit", minute: "2-digit", ...(today ? { second: "2-digit" } : {}) };
    return new Intl.DateTimeFormat(undefined, { ...(today ? {} : day), ...time, hour12: false }).format(instant);
  };

  const ago = (instant) => {
    const seconds = Math.max(0, Math.round((Date.now() - instant) / 1000));
    const parts = seconds < 3600 ? [Math.floor(seconds / 60), seconds % 60] : [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
    return parts.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
  };

  const each = (root, selector, work) => {
    if (root.matches?.(selector)) work(root);
    root.querySelectorAll?.(selector).forEach(work);
  };

  const prepare = (root) => {
    each(root, "time[datetime]", (element) => {
      const instant = new Date(element.dateTime);
      if (element.dataset.shown || isNaN(instant)) return;
      element.dataset.shown = "yes";
      element.textContent = clock(instant);
      element.title = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" }).format(instant);
    });
    each(root, "input[data-reader-zone]", (input) => { if (!input.value) input.value = zone; });
    each(root, "[data-focus]", (element) => element.focus());
    each(root, "[data-plot]", plot);
    each(root, "audio[data-follow]", follow);
    each(root, "[data-said]", (element) => {
      const spoken = document.getElementById("spoken");
      if (spoken.textContent !== element.dataset.said) spoken.textContent = element.dataset.said;
    });
  };

  setInterval(() => {
    document.querySelectorAll("[data-since]").forEach((element) => { element.textContent = ago(new Date(element.dataset.since)); });
  }, 1000);

  // Plots: the page names an address that answers {x: [...], series: [{label, values, dashed?, percent?}], bars?, time?}
  const drawings = new Map();
  const hourOf = (seconds) => {
    const instant = new Date(seconds * 1000), midnight = instant.getHours() === 0 && instant.getMinutes() === 0;
    return new Intl.DateTimeFormat(undefined, midnight ? { day: "numeric", month: "short" } : { hour: "2-digit", minute: "2-digit", hour12: false }).format(instant);
  };
  addEventListener("resize", () => drawings.forEach((drawn, holder) => drawn.setSize({ width: Math.max(260, holder.clientWidth), height: 220 })));
  setInterval(() => { if (!document.hidden) document.querySelectorAll("[data-plot][data-refresh]").forEach(plot); }, 15000);

  async function plot(holder) {
    if (!window.uPlot || (holder.dataset.drawn && !holder.matches("[data-refresh]"))) return;
    holder.dataset.drawn = "yes";
    const answer = await fetch(holder.dataset.plot, { headers: { Accept: "application/json" } });
    if (!answer.ok) { holder.textContent = "The figures could not be loaded."; return; }
    const data = await answer.json();
    if (drawings.has(holder)) { drawings.get(holder).destroy(); drawings.delete(holder); }
    holder.replaceChildren();
    holder.classList.toggle("drawn", data.x.length > 0);
    if (!data.x.length) { holder.textContent = holder.dataset.empty || "Nothing to show yet."; holder.classList.add("quiet"); return; }
    const style = getComputedStyle(document.documentElement);
    const colours = ["--bar-done", "--bar-calling", "--bar-skipped", "--bad", "--bar-cancelled", "--accent"].map((name) => style.getPropertyValue(name).trim());
    const quiet = style.getPropertyValue("--quiet").trim(), line = style.getPropertyValue("--line").trim();
    const axis = { stroke: quiet, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "12px system-ui" };
    const low = data.x[0], high = data.x[data.x.length - 1], pad = data.time ? 1800 : 0.5;
    const shown = (unit) => (_, value) => (value == null ? "–" : unit === "%" ? `${Math.round(value)} %` : unit ? `${value.toFixed(2)} ${unit}` : value);
    const options = {
      width: Math.max(260, holder.clientWidth), height: 220, cursor: { y: false },
      scales: { x: { time: Boolean(data.time), range: () => [low - pad, high + pad] },
                y: { range: (_, low, high) => [0, data.unit === "%" ? 100 : Math.max(high, data.unit ? 0.5 : 1) * 1.08] } },
      axes: [{ ...axis, ...(data.time ? { values: (_, ticks) => ticks.map(hourOf) } : { values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? tick : "")) }) }, { ...axis, size: 44 }],
      series: [{ label: data.x_label || "Time", value: (_, v) => (v == null ? "–" : data.time ? clock(new Date(v * 1000)) : v) },
        ...data.series.map((one, index) => ({
          label: one.label, stroke: colours[index % colours.length], width: 2, points: { show: data.x.length < 60 }, value: shown(data.unit),
          ...(data.bars ? { paths: uPlot.paths.bars({ size: [0.7, 40] }), fill: colours[index % colours.length], points: { show: false } } : {}),
        }))],
    };
    const drawn = new uPlot(options, [data.x, ...data.series.map((one) => one.values)], holder);
    drawings.set(holder, drawn);
  }

  // The transcript beside the recording: a line's time plays it, what is heard is marked.
  const follow = (player) => {
    if (player.dataset.followed) return;
    player.dataset.followed = "yes";
    const lines = [...document.querySelectorAll("[data-second]")];
    lines.forEach((line) => line.querySelector("button")?.addEventListener("click", () => { player.currentTime = Number(line.dataset.second); player.play(); }));
    player.addEventListener("timeupdate", () => {
      let now = null;
      for (const line of lines) if (Number(line.dataset.second) <= player.currentTime + 0.05) now = line;
      lines.forEach((line) => line.classList.toggle("now", line === now));
    });
  };

  document.addEventListener("submit", (event) => {
    const form = event.target, asked = event.submitter?.dataset.confirm || form.dataset.confirm;
    if (asked && !confirm(asked)) { event.preventDefault(); return; }
    if (form.dataset.sent && !form.hasAttribute("hx-post")) { event.preventDefault(); return; }
    if (form.method === "post" && !form.hasAttribute("hx-post")) {
      form.dataset.sent = "yes";
      event.submitter?.setAttribute("aria-busy", "true");
      setTimeout(() => { delete form.dataset.sent; event.submitter?.removeAttribute("aria-busy"); }, 8000);
    }
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) navigator.clipboard.writeText(button.dataset.copy).then(() => { button.textContent = "Copied"; });
  });
  document.addEventListener("change", (event) => {
    // A choice among filters needs no press of a button.
    if (event.target.matches("form.filters select")) event.target.form.requestSubmit();
  });

  const start = () => {
    prepare(document);
    document.body.addEventListener("htmx:load", (event) => prepare(event.detail.elt));
  };
  document.readyState === "loading" ? document.addEventListener("DOMContentLoaded", start) : start();
})();
