// Alerts over time. The table below has the same data for screen readers; the legend links to the alerts.
import uPlot from "../../vendor/uplot.esm.js";

const box = document.getElementById("plot");

const day = (stamp) => new Date(stamp * 1000).toISOString().slice(5, 10);

/** A series has the colour of its legend entry, which the style sheet sets for both themes. */
function seriesColour(name) {
  return getComputedStyle(document.querySelector(`.chart-legend .${name}`), "::before").backgroundColor;
}

function draw() {
  const { days, series } = JSON.parse(document.getElementById("plot-data").textContent);
  const text = getComputedStyle(box).color;
  const axis = { stroke: text, grid: { stroke: "rgba(128, 128, 128, 0.25)", width: 1 }, ticks: { stroke: text, width: 1 } };
  box.replaceChildren();
  const plot = new uPlot({
    width: box.clientWidth,
    height: 260,
    tzDate: (stamp) => uPlot.tzDate(new Date(stamp * 1000), "Etc/UTC"),
    legend: { show: false },
    scales: { y: { range: (_, low, high) => [0, Math.max(4, high)] } },
    axes: [{ ...axis, incrs: [1, 2, 7, 14, 30].map((days) => days * 86400), values: (_, at) => at.map(day), space: 70 }, { ...axis, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 10000, 100000] }],
    series: [{}, ...series.map((one) => ({ label: one.name, stroke: seriesColour(one.colour), width: 2, points: { size: 5 } }))],
  }, [days, ...series.map((one) => one.counts)], box);
  plot.over.addEventListener("click", () => open(plot, series));
}

/** A click opens the alerts of that day in the nearest series. */
function open(plot, series) {
  const { idx, top } = plot.cursor;
  if (idx == null) return;
  const gaps = series.map((one) => Math.abs(plot.valToPos(one.counts[idx], "y") - top));
  const on = new Date(plot.data[0][idx] * 1000).toISOString().slice(0, 10);
  location.href = `${box.dataset.list}?${series[gaps.indexOf(Math.min(...gaps))].query}&day=${on}`;
}

if (box) {
  draw();
  let pending;
  addEventListener("resize", () => { clearTimeout(pending); pending = setTimeout(draw, 150); });
  new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
}
