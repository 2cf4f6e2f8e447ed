/* Charts of the page: a legend entry switches its line, a pointer or a finger reads all lines at one place. */
"use strict";
for (const figure of document.querySelectorAll("figure.chart")) {
  const { frame, series } = JSON.parse(figure.querySelector("script").textContent);
  const svg = figure.querySelector("svg"), cursor = figure.querySelector(".cursor");
  const readout = figure.querySelector(".readout"), hidden = new Set();
  const number = (value) => value.toFixed(2).replace(/^(-?)0\./, "$1.");

  for (const button of figure.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      const key = Number(button.dataset.series), off = !hidden.has(key);
      if (off) hidden.add(key); else hidden.delete(key);
      button.setAttribute("aria-pressed", String(!off));
      svg.querySelector(`g[data-series="${key}"]`).style.display = off ? "none" : "";
    });
  }

  function nearest(line, x) {
    let best = -1;
    line.x.forEach((value, k) => {
      if (line.y[k] !== null && (best < 0 || Math.abs(value - x) < Math.abs(line.x[best] - x))) best = k;
    });
    return best;
  }

  function read(event) {
    const box = svg.getBoundingClientRect(), units = svg.viewBox.baseVal.width;
    const place = (event.clientX - box.left) / box.width * units;
    const share = Math.min(1, Math.max(0, (place - frame.left) / (frame.right - frame.left)));
    const asked = frame.x0 + share * (frame.x1 - frame.x0);
    const ours = series.map((line, key) => [line, key]).filter(([, key]) => !hidden.has(key));
    if (!ours.length) { readout.replaceChildren(); return; }
    const all = ours.map(([line]) => line.x[nearest(line, asked)]);
    const x = all.reduce((a, b) => (Math.abs(b - asked) < Math.abs(a - asked) ? b : a));
    const at = frame.left + (x - frame.x0) / (frame.x1 - frame.x0) * (frame.right - frame.left);
    cursor.setAttribute("x1", at); cursor.setAttribute("x2", at); cursor.setAttribute("visibility", "visible");
    const entries = [Object.assign(document.createElement("b"), { textContent: `${frame.axis}: ${+x.toPrecision(4)}` })];
    for (const [line] of ours) {
      const k = nearest(line, x), width = (frame.x1 - frame.x0) / 40;
      if (Math.abs(line.x[k] - x) > width) continue;
      const entry = document.createElement("span"), mark = document.createElement("i");
      mark.className = line.dashed ? "dashed" : "solid";
      mark.style.color = line.colour;
      const band = line.low && line.low[k] !== null ? ` [${number(line.low[k])}, ${number(line.high[k])}]` : "";
      const where = line.x[k] === x ? "" : ` at ${line.x[k]}`;
      entry.append(mark, `${line.label} ${number(line.y[k])}${band}${where}`);
      entries.push(entry);
    }
    readout.replaceChildren(...entries);
  }
  svg.addEventListener("pointermove", read);
  svg.addEventListener("pointerdown", read);
}
