"use strict";
// What is drawn: the map with its paths, latents among the training tasks', and what each episode achieved.

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function sharp(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const wide = Math.round(width * ratio), high = Math.round(height * ratio);
  if (canvas.width !== wide || canvas.height !== high) { canvas.width = wide; canvas.height = high; }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}

class MapView {
  constructor(walls, ink) {
    this.walls = walls; this.ink = ink;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "map";
    this.columns = walls.rows.length; this.lines = walls.rows[0].length;  // along x, along y
    this.canvas.width = 440; this.canvas.height = Math.round(440 * this.lines / this.columns);
    this.clear(); this.cursor = null; this.chosen = null;
    this.dirty = true;
  }
  clear() { this.past = []; this.now = []; this.goal = null; this.dirty = true; }
  at(place, size) {  // observed (x, y) -> pixels
    return [(place[0] - this.walls.corner[0]) * size, (this.lines - (place[1] - this.walls.corner[1])) * size];
  }
  placeOf(event) {
    const box = this.canvas.getBoundingClientRect(), size = box.width / this.columns;
    return [(event.clientX - box.left) / size + this.walls.corner[0],
            this.lines - (event.clientY - box.top) / size + this.walls.corner[1]];
  }
  centreOf(cell) { return [cell[0] + 0.5 + this.walls.corner[0], cell[1] + 0.5 + this.walls.corner[1]]; }
  line(pen, points, size) {
    if (points.length < 2) return;
    pen.beginPath();
    points.forEach((point, i) => { const [x, y] = this.at(point, size); i ? pen.lineTo(x, y) : pen.moveTo(x, y); });
    pen.stroke();
  }
  draw() {
    if (!this.dirty) return;
    this.dirty = false;
    const width = this.canvas.clientWidth || 440, size = width / this.columns;
    const pen = sharp(this.canvas, width, size * this.lines);
    pen.fillStyle = colour("wall");
    this.walls.rows.forEach((row, i) => [...row].forEach((cell, j) => {
      if (cell === "#") pen.fillRect(i * size, (this.lines - 1 - j) * size, size + 0.5, size + 0.5);
    }));
    pen.lineJoin = pen.lineCap = "round"; pen.lineWidth = Math.max(this.strong ? 1.5 : 1, size * 0.1);
    const shown = this.past.slice(-60);
    shown.forEach((path, i) => {
      pen.strokeStyle = path.success ? colour("good") : this.ink;
      pen.globalAlpha = this.strong ? 0.75 : (path.success ? 0.18 : 0.1) + 0.22 * (i + 1) / shown.length;
      this.line(pen, path.points, size);
    });
    pen.globalAlpha = 1;
    if (this.goal) this.mark(pen, this.goal.place, this.goal.radius, size, colour("good"));
    else if (this.chosen) this.mark(pen, this.chosen, 1, size, colour("good"));
    pen.strokeStyle = this.ink; pen.lineWidth = Math.max(1.5, size * 0.2);
    this.line(pen, this.now, size);
    const last = this.now[this.now.length - 1];
    if (last) {
      const [x, y] = this.at(last, size);
      pen.fillStyle = this.ink; pen.strokeStyle = colour("card"); pen.lineWidth = 2;
      pen.beginPath(); pen.arc(x, y, Math.max(4, size * 0.34), 0, 7); pen.fill(); pen.stroke();
    }
    if (this.cursor) {
      const [x, y] = this.at(this.centreOf(this.cursor), size);
      pen.strokeStyle = colour("spirl"); pen.lineWidth = 2.5;
      pen.strokeRect(x - size / 2 + 1, y - size / 2 + 1, size - 2, size - 2);
    }
  }
  mark(pen, place, radius, size, ink) {
    const [x, y] = this.at(place, size);
    pen.beginPath(); pen.arc(x, y, radius * size, 0, 7);
    pen.globalAlpha = 0.22; pen.fillStyle = ink; pen.fill();
    pen.globalAlpha = 1; pen.strokeStyle = ink; pen.lineWidth = 2; pen.stroke();
    pen.beginPath(); pen.moveTo(x - 4, y); pen.lineTo(x + 4, y); pen.moveTo(x, y - 4); pen.lineTo(x, y + 4); pen.stroke();
  }
}

class PictureView {
  constructor(ink) {
    this.ink = ink;
    this.canvas = document.createElement("canvas");
    this.canvas.width = 400; this.canvas.height = 400;
    this.empty();
  }
  empty(text = "no picture yet") {
    const pen = this.canvas.getContext("2d");
    pen.fillStyle = colour("floor"); pen.fillRect(0, 0, this.canvas.width, this.canvas.height);
    pen.fillStyle = colour("soft"); pen.font = "16px system-ui, sans-serif"; pen.textAlign = "center";
    pen.fillText(text, this.canvas.width / 2, this.canvas.height / 2);
  }
  clear() { this.empty(); }
  async show(bytes) {
    const picture = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
    if (this.canvas.width !== picture.width || this.canvas.height !== picture.height) {
      this.canvas.width = picture.width; this.canvas.height = picture.height;
    }
    this.canvas.getContext("2d").drawImage(picture, 0, 0);
    picture.close();
  }
  draw() {}
}

function drawLatents(canvas, tasks, trail, phase) {
  const width = canvas.clientWidth || 340, height = 200, pen = sharp(canvas, width, height);
  const size = Math.min(width / 5.4, height / 4.7), x = (v) => width / 2 + v * size, y = (v) => height / 2 - v * size;
  const two = (place) => [place[0], place.length > 1 ? place[1] : 0];
  pen.lineWidth = 1;
  [1, 2].forEach((radius) => {
    pen.strokeStyle = colour("line");
    pen.beginPath(); pen.arc(width / 2, height / 2, radius * size, 0, 7); pen.stroke();
  });
  pen.fillStyle = colour("soft"); pen.font = "11px system-ui, sans-serif"; pen.textAlign = "left";
  pen.fillText(tasks.length ? "● training tasks" : "rings: spread of the training tasks", 4, 12);
  pen.fillText("rings: 1 and 2 std", 4, height - 5);
  pen.globalAlpha = 0.55;
  tasks.forEach((task) => {
    const [a, b] = two(task.place);
    pen.beginPath(); pen.arc(x(a), y(b), 3, 0, 7); pen.fill();
  });
  const shown = trail.slice(-40);
  shown.forEach((place, i) => {
    const [a, b] = two(place), last = i === shown.length - 1;
    const inside = (v, most) => Math.max(6, Math.min(most - 6, v));
    pen.globalAlpha = last ? 1 : 0.12 + 0.35 * i / shown.length;
    pen.fillStyle = phase === "exploring" ? colour("spirl") : colour("simpl");
    pen.beginPath(); pen.arc(inside(x(a), width), inside(y(b), height), last ? 7 : 3.5, 0, 7); pen.fill();
    if (last) { pen.strokeStyle = colour("card"); pen.lineWidth = 2; pen.stroke(); }
  });
  pen.globalAlpha = 1;
  pen.textAlign = "right"; pen.fillStyle = phase === "exploring" ? colour("spirl") : colour("simpl");
  if (shown.length) pen.fillText(phase === "exploring" ? "● guess" : "● inferred", width - 4, 12);
}

function drawEpisodes(canvas, agents, measure, nEpisodes) {
  const width = canvas.clientWidth || 340, height = 132, pen = sharp(canvas, width, height);
  const most = Math.max(10, nEpisodes, ...agents.map((agent) => agent.length));
  const left = 46, step = (width - left - 6) / most;
  const names = ["SiMPL", "SPiRL"], inks = [colour("simpl"), colour("spirl")];
  pen.font = "12px system-ui, sans-serif";
  if (measure.column === "success") {
    agents.forEach((episodes, k) => {
      const y = 26 + k * 44;
      pen.fillStyle = inks[k]; pen.textAlign = "left"; pen.fillText(names[k], 2, y + 4);
      for (let i = 0; i < most; i++) {
        const episode = episodes[i], r = Math.min(6, Math.max(2, step * 0.4));
        pen.beginPath(); pen.arc(left + (i + 0.5) * step, y, r, 0, 7);
        if (episode && episode.success) { pen.fillStyle = inks[k]; pen.fill(); }
        else { pen.strokeStyle = episode ? inks[k] : colour("line"); pen.lineWidth = episode ? 1.5 : 1; pen.stroke(); }
      }
    });
    pen.fillStyle = colour("soft"); pen.textAlign = "left";
    pen.fillText("filled: success", left, height - 6);
  } else {
    const values = agents.flat().map((episode) => episode.value);
    const top = measure.most || Math.max(1, ...values), low = Math.min(0, ...values);
    const y = (value) => height - 24 - (height - 40) * (value - low) / (top - low || 1);
    pen.strokeStyle = colour("line"); pen.fillStyle = colour("soft"); pen.textAlign = "right"; pen.lineWidth = 1;
    [low, top].forEach((value) => {
      pen.beginPath(); pen.moveTo(left, y(value)); pen.lineTo(width - 4, y(value)); pen.stroke();
      pen.fillText(String(Math.round(value * 100) / 100), left - 6, y(value) + 4);
    });
    agents.forEach((episodes, k) => {
      pen.strokeStyle = pen.fillStyle = inks[k]; pen.lineWidth = 2; pen.beginPath();
      episodes.forEach((episode, i) => { const at = [left + (i + 0.5) * step, y(episode.value)]; i ? pen.lineTo(...at) : pen.moveTo(...at); });
      pen.stroke();
      episodes.forEach((episode, i) => { pen.beginPath(); pen.arc(left + (i + 0.5) * step, y(episode.value), 2.5, 0, 7); pen.fill(); });
    });
  }
  pen.fillStyle = colour("soft"); pen.textAlign = "right"; pen.fillText(`${most} episodes`, width - 4, height - 6);
}
