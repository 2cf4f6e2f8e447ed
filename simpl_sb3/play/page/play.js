"use strict";
// The page's state, its events, and the WebSocket.

const $ = (id) => document.getElementById(id);
const SENTENCES = {
  "exploring": "Exploring: the agent guesses which task this could be, tries that out, and rules out every place that gave no reward.",
  "inferred": "Inferring: something was rewarded, and the task encoder reads from it which task this is; the agent acts on what it infers.",
  "fine-tuning": "Fine-tuning: the inferred task is fixed, and after every skill the policy learns to do this one task better.",
  "adapted": "Adapted: it has stopped learning, and walks there with what it knows.",
};
const SPEEDS = [60, 200, 600, 2000, 6000, 0];
const state = { about: null, views: [], prior: null, order: [], agents: [], running: false, paused: false, frames: 0 };
window.playground = state;  // for whoever looks from the console

const token = new URLSearchParams(location.search).get("token");
const scheme = location.protocol === "https:" ? "wss" : "ws";
const socket = new WebSocket(`${scheme}://${location.host}/ws${token ? `?token=${encodeURIComponent(token)}` : ""}`);
socket.binaryType = "arraybuffer";
const send = (message) => { if (socket.readyState === 1) socket.send(JSON.stringify(message)); };

function say(text, kind = "") { $("message").textContent = text; $("message").className = kind; }

function newAgents() {
  state.agents = [0, 1].map(() => ({ episodes: [], phase: null, trail: [], done: [], over: false, walks: 0, reached: 0, episode: 0 }));
}

// ---------------------------------------------------------------- what the server tells

const heard = {
  loading(message) { say(`Loading ${message.model} …`); },
  refused(message) { models(message.models, message.model); state.about = null; stopped(); },
  chosen(message) {
    state.about = message; state.order = []; newAgents(); models(message.models, message.model);
    layout(); stopped(); invite();
  },
  started(message) {
    state.views.forEach((view) => { view.clear(); view.chosen = null; view.cursor = null; });
    newAgents(); state.running = true; state.paused = false; state.task = message.task; state.both = message.both;
    controls(); say(`Task ${message.task}: the agents do not know it. Episodes stream in live.`);
    document.querySelectorAll(".line").forEach((line) => { line.textContent = ""; });
    ticks(0); ticks(1);
  },
  paused(message) { state.paused = message.paused; controls(); },
  phase(message) {
    state.agents[message.agent].phase = message.phase;
    if (message.agent === 0) phases(message.phase);
  },
  begin(message) {
    const agent = state.agents[message.agent], view = state.views[message.agent];
    agent.episode = message.episode; agent.phase = message.phase; agent.done = []; ticks(message.agent);
    if (view instanceof MapView) { view.now = []; view.dirty = true; }
    line(message.agent);
  },
  goal(message) { const view = state.views[message.agent]; view.goal = { place: message.place, radius: message.radius }; view.dirty = true; },
  path(message) { const view = state.views[message.agent]; view.now.push(...message.points); view.dirty = true; state.frames += 1; },
  subtasks(message) { state.agents[message.agent].done = message.done; ticks(message.agent); },
  latent(message) {
    if (message.agent !== 0) return;
    if (message.place) state.agents[0].trail.push(message.place);
    state.latentsDirty = true;
  },
  episode(message) {
    const agent = state.agents[message.agent], view = state.views[message.agent];
    agent.episodes.push(message); state.episodesDirty = true;
    if (message.phase === "adapted") { agent.walks += 1; agent.reached += message.success ? 1 : 0; }
    if (view instanceof MapView) view.past.push({ points: view.now.slice(), success: message.success });
    line(message.agent);
    if (message.agent === 0 && message.success && (message.phase === "fine-tuning" || message.phase === "adapted") && !state.won) {
      state.won = true;
      say(`The adapted agent did it: episode ${message.episode} on task ${state.task}, with the task inferred from rewards alone.`, "good");
    }
  },
  over(message) {
    state.agents[message.agent].over = true; line(message.agent);
    if (state.agents.every((agent, i) => agent.over || (i === 1 && !state.both))) { state.running = false; controls(); }
  },
  prior(message) {
    if (!(state.prior instanceof MapView)) return;
    state.prior.past = message.paths.map((points) => ({ points, success: false })); state.prior.dirty = true;
  },
  note(message) { state.note = message.text; say(message.text); },
  error(message) { say(message.text, "bad"); stopped(); },
};

socket.onmessage = (event) => {
  if (typeof event.data === "string") { const message = JSON.parse(event.data); (heard[message.type] || (() => {}))(message); return; }
  const number = new Uint8Array(event.data, 0, 1)[0], view = number === 2 ? state.prior : state.views[number];
  if (view instanceof PictureView) { state.frames += 1; view.show(event.data.slice(1)); }
};
socket.onclose = (event) => { stopped(); state.about = null; controls(); say(event.reason || "The connection to simpl-sb3 play is closed: start it again and reload this page.", "bad"); };

// ---------------------------------------------------------------- what stands on the page

function models(names, chosen) {
  $("model").replaceChildren(...names.map((name) => new Option(name, name, false, name === chosen)));
}

function layout() {
  const about = state.about, stages = document.querySelectorAll(".agent .stage");
  const inks = [colour("simpl"), colour("spirl")];
  const view = (ink) => about.walls ? new MapView(about.walls, ink) : new PictureView(ink);
  state.views = inks.map(view);
  state.prior = view(colour("simpl")); state.prior.strong = true;
  stages.forEach((stage, i) => stage.replaceChildren(state.views[i].canvas));
  $("prior-stage").replaceChildren(state.prior.canvas);
  state.prior.canvas.classList.remove("map");
  state.prior.canvas.setAttribute("aria-label", "What the chosen skills do");
  if (about.walls) state.views.forEach(clickable);
  else if (!about.pictures) [...state.views, state.prior].forEach((each) => each.empty("no pictures on this machine"));
  $("ask").hidden = Boolean(about.walls);
  $("order").hidden = !about.n_asked;
  $("named").hidden = Boolean(about.walls || about.n_asked);
  $("n-asked").textContent = about.n_asked;
  $("tasks").replaceChildren(...about.tasks.map((name) => new Option(name, name)));
  $("task").value = about.tasks[0] || "";
  $("latent-text").textContent = about.latents.length ? "guess or inference among the training tasks" : "in standard deviations of the training tasks";
  $("episodes-title").textContent = about.measure.column === "success" ? "Success of each episode" : about.measure.label;
  chips(); sliders(); phases(null); ticks(0); ticks(1);
  document.querySelectorAll(".line").forEach((each) => { each.textContent = ""; });
  state.latentsDirty = state.episodesDirty = true;
}

function invite() {
  const about = state.about, note = state.note ? ` ${state.note}` : "";
  state.note = "";
  say((about.walls ? "Click a goal anywhere on the map, or choose one with the arrow keys and press Enter."
    : about.n_asked ? `Put ${about.n_asked} subtasks in order, then start.` : "Choose a task, then start.") + note);
}

function clickable(view) {
  const canvas = view.canvas;
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", "Map. Arrow keys choose a cell, Enter makes it the goal.");
  canvas.addEventListener("click", (event) => askFor(view.placeOf(event)));
  canvas.addEventListener("blur", () => { view.cursor = null; view.dirty = true; });
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (move) {
      const from = view.cursor || [Math.floor(view.columns / 2), Math.floor(view.lines / 2)];
      view.cursor = [Math.max(0, Math.min(view.columns - 1, from[0] + move[0])), Math.max(0, Math.min(view.lines - 1, from[1] + move[1]))];
      view.dirty = true; event.preventDefault();
    } else if ((event.key === "Enter" || event.key === " ") && view.cursor) {
      askFor(view.centreOf(view.cursor)); event.preventDefault();
    }
  });
}

function askFor(place) {
  state.chosen = place;
  state.views.forEach((view) => { view.chosen = place; view.dirty = true; });
  start();
}

function start() {
  const about = state.about;
  if (!about) return;
  const asked = about.walls ? { place: state.chosen } : about.n_asked ? { order: state.order } : { text: $("task").value };
  if (about.walls && !state.chosen) { say("Choose a goal on the map first.", "bad"); return; }
  const seed = Number($("seed").value);
  state.won = false; state.asked = [...state.order];
  send({ type: "start", ...asked, seed: Number.isInteger(seed) ? seed : -1, compare: $("compare").checked });
}

function chips() {
  const about = state.about;
  $("subtasks").replaceChildren(...about.subtasks.map((name, i) => {
    const button = document.createElement("button"), at = state.order.indexOf(i);
    button.type = "button"; button.setAttribute("aria-pressed", at >= 0);
    const number = document.createElement("b");
    number.textContent = at >= 0 ? at + 1 : "";
    button.append(number, name);
    button.onclick = () => {
      const now = state.order.indexOf(i);
      if (now >= 0) state.order.splice(now, 1); else state.order.push(i);
      chips(); $("subtasks").children[i].focus();
    };
    return button;
  }));
}

function ticks(number) {
  const about = state.about, list = document.querySelector(`#agent-${number} .ticks`);
  if (!about || !about.n_asked) { list.replaceChildren(); return; }
  const asked = state.running ? state.asked : state.order;
  list.replaceChildren(...asked.map((subtask) => {
    const item = document.createElement("li");
    item.textContent = about.subtasks[subtask]; item.className = state.agents[number].done.includes(subtask) ? "done" : "";
    return item;
  }));
}

function line(number) {
  const agent = state.agents[number], place = document.querySelector(`#agent-${number} .line`), last = agent.episodes[agent.episodes.length - 1];
  const part = (text, kind) => { const span = document.createElement(kind ? "span" : "b"); span.className = kind || ""; span.textContent = text; return span; };
  const parts = [part(`Episode ${agent.episode}`), ` · ${agent.over ? "finished" : { "inferred": "acting on what it inferred" }[agent.phase] || agent.phase || "exploring"}`];
  if (last) parts.push(" · last: ", last.success ? part("success", "won") : "no success");
  if (state.about.measure.column === "return" && last) parts.push(`, ${last.value}`);
  if (agent.walks) parts.push(` · adapted: ${agent.reached} of ${agent.walks}`);
  place.replaceChildren(...parts);
}

function phases(phase) {
  const names = Object.keys(SENTENCES), now = names.indexOf(phase);
  document.querySelectorAll("#phases li").forEach((item, i) => { item.className = i === now ? "now" : i < now ? "past" : ""; });
  $("sentence").textContent = phase ? SENTENCES[phase] : "Three phases: the agent explores, infers the task from what was rewarded, and fine-tunes. Each is explained here while it runs.";
  state.latentsDirty = true;
}

function sliders() {
  const count = Math.min(6, state.about.skill_dim);
  $("sliders").replaceChildren(...Array.from({ length: count }, (_, i) => {
    const label = document.createElement("label"), slider = document.createElement("input"), shown = document.createElement("output");
    Object.assign(slider, { type: "range", min: -2.5, max: 2.5, step: 0.1, value: 0 });
    shown.textContent = "0";
    slider.oninput = () => { shown.textContent = slider.value; clearTimeout(state.timer); state.timer = setTimeout(showSkill, 120); };
    label.append(`z${i + 1}`, slider, shown);
    return label;
  }));
}

function showSkill() { send({ type: "prior", deviation: [...$("sliders").querySelectorAll("input")].map((slider) => Number(slider.value)) }); }

function stopped() { state.running = state.paused = false; controls(); }

function controls() {
  $("start").disabled = !state.about;
  $("pause").disabled = $("reset").disabled = !state.running;
  $("pause").textContent = state.paused ? "Go on" : "Pause";
  document.body.dataset.running = state.running;
}

$("model").onchange = () => send({ type: "choose", model: $("model").value });
$("start").onclick = start;
$("pause").onclick = () => send({ type: state.paused ? "resume" : "pause" });
$("reset").onclick = () => { send({ type: "stop" }); state.views.forEach((view) => view.clear()); newAgents(); stopped(); phases(null); ticks(0); ticks(1); state.episodesDirty = true; document.querySelectorAll(".line").forEach((each) => { each.textContent = ""; }); invite(); };
$("speed").oninput = () => {
  const value = SPEEDS[Number($("speed").value)];
  $("speed-text").textContent = value ? `${value} steps/s` : "full";
  send({ type: "speed", value });
};
$("sample").onclick = () => send({ type: "prior", n: 12 });
$("centre").onclick = () => { $("sliders").querySelectorAll("label").forEach((label) => { label.children[0].value = 0; label.children[1].textContent = "0"; }); showSkill(); };
window.addEventListener("resize", () => { [...state.views, state.prior].forEach((view) => { if (view) view.dirty = true; }); state.latentsDirty = state.episodesDirty = true; });

function frame() {
  if (state.about) {
    state.views.forEach((view) => view.draw());
    state.prior.draw();
    if (state.latentsDirty) { state.latentsDirty = false; drawLatents($("latents"), state.about.latents, state.agents[0].trail, state.agents[0].phase); }
    if (state.episodesDirty) { state.episodesDirty = false; drawEpisodes($("episodes"), state.agents.map((agent) => agent.episodes), state.about.measure, state.about.n_episodes); }
  }
  requestAnimationFrame(frame);
}
newAgents(); requestAnimationFrame(frame);
