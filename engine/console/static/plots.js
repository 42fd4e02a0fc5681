// Lines over the last ten minutes, drawn on canvases. Each look adds a point; a gap between looks is a gap in the line.

import { count, h, ms, rate } from "./dom.js";
import { perSecond, quantile } from "./series.js";

// Looks further apart than this are not joined.
const GAP_MS = 5000;
const COLOURS = ["--accent", "--warn", "--bad"];

// Percentiles are taken over so many looks, so that rare events make a line.
const OVER = 10;

const PLOTS = [
  { title: "Connections", show: count, lines: [["open", (looks, index) => looks[index].sums.connected]] },
  {
    title: "Events a second",
    show: rate,
    lines: [
      ["published", counter("broadcast_messages_total")],
      ["by clients", counter("client_events_total")],
    ],
  },
  {
    title: "Messages a second",
    show: rate,
    lines: [
      ["to clients", counter("ws_messages_sent_total")],
      ["from clients", counter("ws_messages_received_total")],
    ],
  },
  {
    title: "API answers within",
    show: ms,
    lines: [
      ["50 %", percentile("http_request_duration_seconds", 0.5)],
      ["99 %", percentile("http_request_duration_seconds", 0.99)],
    ],
  },
  { title: "Event loops late by, 99 %", show: ms, lines: [["late", percentile("event_loop_lag_seconds", 0.99)]] },
  {
    title: "Webhook requests a second",
    show: rate,
    lines: [
      ["delivered", counter("webhooks_sent_total")],
      ["failed", counter("webhooks_failed_total")],
    ],
  },
];

// Of the first look there is no rate.
function counter(name) {
  return (looks, index) => (index ? perSecond(name, looks[index]) : null);
}

function percentile(name, share) {
  return (looks, index, context) => quantile(name, share, context, looks, OVER, index);
}

export function plots(context) {
  const drawn = PLOTS.map((plot) => {
    const canvas = h("canvas", { role: "img" });
    const caption = h("figcaption", {});
    return { plot, canvas, caption, figure: h("figure", { class: "card plot" }, caption, canvas) };
  });
  const element = h("section", { class: "plots", "aria-label": "Plots of the last ten minutes" }, drawn.map((each) => each.figure));
  const draw = (looks) => {
    for (const { plot, canvas, caption } of drawn) {
      const series = plot.lines.map(([name, value]) => ({
        name,
        points: looks.map((_, index) => value(looks, index, context)),
      }));
      caption.replaceChildren(h("b", {}, plot.title), " ", ...series.flatMap((line, index) => key(line, index, plot)));
      const last = series.map((line) => `${line.name} ${plot.show(line.points.at(-1))}`).join(", ");
      canvas.setAttribute("aria-label", `${plot.title}: ${last}`);
      paint(canvas, looks.map((look) => look.time_ms), series, plot.show);
    }
  };
  return { element, draw };
}

function key(line, index, plot) {
  const mark = h("i", {});
  mark.style.background = `var(${COLOURS[index]})`;
  const now = line.points.at(-1);
  return [h("span", { class: "key" }, mark, `${line.name} ${now === null ? "–" : plot.show(now)}`)];
}

function paint(canvas, times, series, show) {
  const scale = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (!width) return;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const pen = canvas.getContext("2d");
  const colour = (name) => getComputedStyle(canvas).getPropertyValue(name).trim();
  pen.scale(scale, scale);
  const top = Math.max(...series.flatMap((line) => line.points.map((value) => value ?? 0)), 0);
  const ceiling = top > 0 ? top * 1.1 : 1;
  const [begin, end] = [Math.min(times[0], times.at(-1) - 60000), times.at(-1)];
  const x = (time) => 2 + ((time - begin) / (end - begin)) * (width - 4);
  const y = (value) => height - 14 - (value / ceiling) * (height - 28);

  pen.font = "11px system-ui, sans-serif";
  pen.fillStyle = colour("--soft");
  pen.strokeStyle = colour("--line");
  pen.beginPath();
  for (const value of [0, top]) {
    pen.moveTo(0, y(value));
    pen.lineTo(width, y(value));
  }
  pen.stroke();
  if (top > 0) pen.fillText(show(top), 2, y(top) - 3);
  pen.fillText(`${Math.round((end - begin) / 60000)} min ago`, 2, height - 2);

  series.forEach((line, index) => {
    pen.strokeStyle = colour(COLOURS[index]);
    pen.lineWidth = 1.6;
    pen.lineJoin = "round";
    pen.beginPath();
    let joined = false;
    line.points.forEach((value, at) => {
      if (value === null) {
        joined = false;
        return;
      }
      if (joined && times[at] - times[at - 1] < GAP_MS) pen.lineTo(x(times[at]), y(value));
      else pen.moveTo(x(times[at]), y(value));
      joined = true;
    });
    pen.stroke();
  });
}
