"use strict";
// The page of `textvae explore`: one file, no library. Texts enter the page as text nodes alone.

const $ = (id) => document.getElementById(id);
const DISCS = 5000;        // Points up to which discs are drawn; above, pixels.
const REACH = 14;          // Pixels within which the pointer picks a point.
const BLOCK = 1000;        // Texts or thumbnails of one request.
const SPRITE_COLUMNS = 50; // Thumbnails in a row of a sprite, as the server lays them out.
const STEPS = 33, EVERY = 4;
const OTHER = 254, MISSING = 255;
const TABS = ["between", "dimensions", "direction"];

let model = null;          // What the server states about the model.
let plane = null;          // Centre and directions of the map: places any z.
const here = { z: null, base: null, condition: {}, from: "", original: null, compared: null, row: null };
const ends = { a: null, b: null };
let way = null;            // The 33 steps between A and B.
let direction = null;

// ---------------------------------------------------------------- requests

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("The server has ended. Start textvae explore again and use the address it prints.");
  }
  if (!answer.ok) {
    let text = `The server answered ${answer.status}.`;
    try { text = (await answer.json()).error; } catch { /* no JSON */ }
    if (answer.status === 403) text = "This page is of an earlier server: use the address that textvae explore printed.";
    throw new Error(text);
  }
  const kind = answer.headers.get("Content-Type") || "";
  if (kind.startsWith("application/json")) return answer.json();
  return kind.startsWith("image/") ? answer.blob() : answer.arrayBuffer();
}

// At most one call at a time; of those that come meanwhile the newest alone is made.
function newest(work) {
  let busy = false, next = null;
  const call = async (...given) => {
    next = given;
    if (busy) return;
    busy = true;
    while (next) {
      const now = next;
      next = null;
      await guarded(() => work(...now));
    }
    busy = false;
  };
  call.waiting = () => next !== null;
  return call;
}

async function guarded(work) {
  try {
    const result = await work();
    $("failure").hidden = true;
    return result;
  } catch (error) {
    $("failure").textContent = error.message;
    $("failure").hidden = false;
    return undefined;
  }
}

// ---------------------------------------------------------------- elements

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "class") made.className = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

function options(select, values, chosen) {
  select.replaceChildren(...values.map(([value, name]) => element("option", { value }, name)));
  if (chosen !== undefined) select.value = chosen;
}

const whole = (number) => number.toLocaleString("en");
const percent = (share) => `${(100 * share).toFixed(share < 0.095 ? 1 : 0)} %`;
const short = (text, most = 28) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
const plural = (count, name) => `${whole(count)} ${name}${count === 1 ? "" : "s"}`;

// A text, an image or a row with parts as the server gives it; runs are words that are shared or
// differ, of a row with parts those of each line.
function shown(value, runs) {
  if (value.image) return element("img", { src: value.image, alt: "image" });
  const parts = value.lines
    ? value.lines.map((line, n) => element("span", { class: "line" },
      line.label ? element("span", { class: "label" }, line.label) : null, ...marked(line.text, runs && runs[n]),
      line.note ? element("span", { class: "note" }, line.note) : null))
    : marked(value.text, runs);
  if (value.cut) parts.push(element("span", { class: "cut" }, ` … ${value.cut === true ? "cut at 64 tokens" : value.cut}`));
  return element("span", { class: "text" }, ...parts);
}

// A text as text nodes, the words marked that the other one does not share.
function marked(text, runs) {
  const parts = [], spaced = /\s/.test(text);
  if (!text.trim()) parts.push(text, element("span", { class: "cut" }, "(no words)"));
  else if (!runs) parts.push(text);
  else runs.forEach(([words, shared], number) => {
    if (number && spaced) parts.push(" ");
    parts.push(shared ? words : element("mark", {}, words));
  });
  return parts;
}

const sameShown = (a, b) => a.text === b.text && a.image === b.image;

// ---------------------------------------------------------------- rows: texts and thumbnails

const blocks = new Map();

function block(number) {
  if (!blocks.has(number)) {
    const from = number * BLOCK, to = Math.min(model.rows, from + BLOCK);
    const entry = { values: null };
    entry.ready = ask(`/api/texts?from=${from}&to=${to}`).then(async (found) => {
      entry.values = found instanceof Blob ? await createImageBitmap(found) : found;
    });
    entry.ready.catch(() => blocks.delete(number));
    blocks.set(number, entry);
  }
  return blocks.get(number);
}

function thumbnail(row) {
  const canvas = element("canvas", { class: "thumb", width: 1, height: 1, role: "img", "aria-label": `image ${row}` });
  const entry = block(Math.floor(row / BLOCK));
  const draw = () => {
    const count = Math.min(BLOCK, model.rows - Math.floor(row / BLOCK) * BLOCK);
    const place = row % BLOCK, sprite = entry.values;
    const width = sprite.width / SPRITE_COLUMNS, height = sprite.height / Math.ceil(count / SPRITE_COLUMNS);
    canvas.width = width;
    canvas.height = height;
    const x = (place % SPRITE_COLUMNS) * width, y = Math.floor(place / SPRITE_COLUMNS) * height;
    canvas.getContext("2d").drawImage(sprite, x, y, width, height, 0, 0, width, height);
  };
  if (entry.values) draw(); else entry.ready.then(draw, () => {});
  return canvas;
}

function preview(row) {
  if (model.modality === "image") return thumbnail(row);
  const text = element("span", { class: "text" });
  const entry = block(Math.floor(row / BLOCK));
  const fill = () => { text.textContent = entry.values[row % BLOCK]; };
  if (entry.values) fill(); else { text.textContent = "…"; entry.ready.then(fill, () => {}); }
  return text;
}

// ---------------------------------------------------------------- the map

const map = {
  x: null, y: null, classes: [], column: -1, hidden: new Set(), found: null,
  scale: 1, scaleY: 1, left: 0, top: 0, fitted: true, width: 0, height: 0, ratio: 1,
  hover: -1, colours: [], drawn: 0,
};

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function classColour(number) {
  if (number >= OTHER) return style("--rest");
  const column = model.columns[map.column];
  if (!column.ordered) return style(`--c${number % 10}`);
  const most = Math.max(1, column.names.length - 1);
  return style(`--s${Math.round((8 * number) / most)}`);
}

function refreshColours() {
  map.colours = [];
  const count = map.column < 0 ? 0 : model.columns[map.column].names.length;
  for (let number = 0; number < count; number++) map.colours[number] = classColour(number);
  map.colours[OTHER] = map.colours[MISSING] = style("--rest");
  map.plain = style("--accent");
  map.pixels = map.colours.map(packed);
  map.plainPixel = packed(map.plain);
  map.faint = packed(style("--line"));
}

function packed(colour) {
  const value = parseInt(colour.slice(1), 16);
  return (255 << 24) | ((value & 255) << 16) | (value & 0xff00) | (value >> 16);
}

async function loadMap(axes) {
  const query = encodeURIComponent(axes);
  const [found, bytes] = await Promise.all([ask(`/api/plane?axes=${query}`), ask(`/api/points?axes=${query}`)]);
  plane = found;
  const pairs = new Float32Array(bytes, 0, 2 * model.rows);
  map.x = new Float32Array(model.rows);
  map.y = new Float32Array(model.rows);
  for (let i = 0; i < model.rows; i++) { map.x[i] = pairs[2 * i]; map.y[i] = pairs[2 * i + 1]; }
  map.classes = model.columns.map((_, number) => new Uint8Array(bytes, (8 + number) * model.rows, model.rows));
  if (model.dim === 1) stack();
  map.fitted = true;
  fit();
  const names = plane.axes;
  $("axis-name-x").textContent = `${names[0]} →`;
  $("axis-name-y").textContent = model.dim === 1 ? `↑ ${model.modality}s` : `↑ ${names[1]}`;
  colourMenu();
  caption();
  draw();
}

// Of one dimension: points that fall on the same pixels stand on each other, as in a histogram.
function stack() {
  let low = Infinity, high = -Infinity;
  for (const value of map.x) { low = Math.min(low, value); high = Math.max(high, value); }
  const bins = 80, heights = new Uint32Array(bins + 1);
  for (let i = 0; i < map.x.length; i++) {
    const bin = high > low ? Math.floor(((map.x[i] - low) / (high - low)) * bins) : 0;
    map.y[i] = heights[bin]++;
  }
}

function fit() {
  const box = $("map").getBoundingClientRect();
  map.ratio = window.devicePixelRatio || 1;
  map.width = box.width - 2;
  map.height = box.height - 2;
  for (const id of ["points", "marks"]) {
    $(id).width = Math.round(map.width * map.ratio);
    $(id).height = Math.round(map.height * map.ratio);
  }
  if (!map.fitted || !map.x) return;
  let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let i = 0; i < map.x.length; i++) {
    left = Math.min(left, map.x[i]); right = Math.max(right, map.x[i]);
    low = Math.min(low, map.y[i]); high = Math.max(high, map.y[i]);
  }
  const wide = Math.max(right - left, plane.least, 1e-6), tall = Math.max(high - low, model.dim === 1 ? 1 : plane.least, 1e-6);
  const [w, h] = [Math.max(map.width - 48, 40), Math.max(map.height - 64, 40)];
  map.scale = w / wide;
  map.scaleY = h / tall;
  if (model.dim === 1) map.scaleY = Math.min(map.scaleY, 8);
  else map.scale = map.scaleY = Math.min(map.scale, map.scaleY);
  map.left = map.width / 2 - (map.scale * (left + right)) / 2;
  map.top = map.height / 2 + (map.scaleY * (low + high)) / 2;
  if (model.dim === 1) map.top = map.height - 34;
  $("fit").hidden = true;
}

const screenX = (x) => map.left + map.scale * x;
const screenY = (y) => map.top - map.scaleY * y;

// Whether a point is drawn in full: its class is not hidden, and it was found if there is a search.
function visible(i) {
  return map.column < 0 || !map.hidden.has(map.classes[map.column][i]);
}

let scheduled = false;
function draw() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => { scheduled = false; drawPoints(); drawMarks(); });
}

function drawPoints() {
  if (!map.x) return;
  const began = performance.now();
  const context = $("points").getContext("2d");
  if (model.rows > DISCS) drawPixels(context); else drawDiscs(context);
  map.drawn = performance.now() - began;
}

function drawPixels(context) {
  const { ratio } = map, width = $("points").width, height = $("points").height;
  const image = context.createImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  const size = ratio > 1.4 ? 3 : 2, classes = map.column < 0 ? null : map.classes[map.column];
  const [scaleX, scaleY, left, top] = [map.scale * ratio, map.scaleY * ratio, map.left * ratio, map.top * ratio];
  for (let pass = map.found ? 0 : 1; pass < 2; pass++) {
    for (let i = 0; i < map.x.length; i++) {
      if (classes && map.hidden.has(classes[i])) continue;
      if (map.found && (map.found.flags[i] === 1) !== (pass === 1)) continue;
      const x = (left + scaleX * map.x[i]) | 0, y = (top - scaleY * map.y[i]) | 0;
      if (x < 0 || y < 0 || x >= width - size || y >= height - size) continue;
      const colour = pass === 0 ? map.faint : classes ? map.pixels[classes[i]] : map.plainPixel;
      for (let dy = 0, place = y * width + x; dy < size; dy++, place += width) {
        for (let dx = 0; dx < size; dx++) pixels[place + dx] = colour;
      }
    }
  }
  context.putImageData(image, 0, 0);
}

function drawDiscs(context) {
  context.setTransform(map.ratio, 0, 0, map.ratio, 0, 0);
  context.clearRect(0, 0, map.width, map.height);
  const count = model.rows, classes = map.column < 0 ? null : map.classes[map.column];
  const size = (count > 3000 ? 2.4 : count > 600 ? 2.9 : 3.8) * (map.width < 500 ? 0.85 : 1);
  const groups = new Map();
  for (let i = 0; i < count; i++) {
    if (!visible(i)) continue;
    const faint = map.found && !map.found.flags[i];
    const key = faint ? -1 : classes ? classes[i] : -2;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(i);
  }
  // One path a class would hide those below: points are drawn in turns of a few of each class.
  const turns = 12, order = [...groups.keys()].sort((a, b) => (a < 0 || a >= OTHER ? -1 : 0) - (b < 0 || b >= OTHER ? -1 : 0));
  for (let turn = 0; turn < turns; turn++) {
    for (const key of order) {
      const rows = groups.get(key);
      context.globalAlpha = key === -1 ? 0.9 : 0.78;
      context.fillStyle = key === -1 ? style("--line") : key === -2 ? map.plain : map.colours[key];
      context.beginPath();
      for (let n = turn; n < rows.length; n += turns) {
        const x = screenX(map.x[rows[n]]), y = screenY(map.y[rows[n]]);
        if (x < -5 || y < -5 || x > map.width + 5 || y > map.height + 5) continue;
        context.moveTo(x + size, y);
        context.arc(x, y, size, 0, 6.2832);
      }
      context.fill();
    }
  }
  context.globalAlpha = 1;
}

// Where any z lies on the map.
function placed(z) {
  const place = plane.directions.map((along) => {
    let sum = 0;
    for (let d = 0; d < z.length; d++) sum += (z[d] - plane.centre[d]) * along[d];
    return sum;
  });
  return [screenX(place[0]), model.dim === 1 ? screenY(0) : screenY(place[1])];
}

function drawMarks() {
  const context = $("marks").getContext("2d");
  context.setTransform(map.ratio, 0, 0, map.ratio, 0, 0);
  context.clearRect(0, 0, map.width, map.height);
  if (!plane || !map.x) return;
  const [surface, ink, accent, warm] = ["--surface", "--ink", "--accent", "--warm"].map(style);
  const ring = (x, y, radius, colour, width = 2) => {
    for (const [stroke, thick] of [[surface, width + 3], [colour, width]]) {
      context.beginPath();
      context.arc(x, y, radius, 0, 6.2832);
      context.strokeStyle = stroke;
      context.lineWidth = thick;
      context.stroke();
    }
  };
  if (way) {
    for (const [stroke, thick] of [[surface, 4.5], [accent, 1.8]]) {
      context.beginPath();
      way.z.forEach((z, n) => { const at = placed(z); if (n) context.lineTo(...at); else context.moveTo(...at); });
      context.strokeStyle = stroke;
      context.lineWidth = thick;
      context.stroke();
    }
  }
  if (map.hover >= 0) ring(screenX(map.x[map.hover]), screenY(map.y[map.hover]), 6, ink, 1.5);
  for (const name of ["a", "b"]) {
    if (!ends[name]) continue;
    const [x, y] = placed(ends[name].z);
    context.beginPath();
    context.arc(x, y, 9, 0, 6.2832);
    context.fillStyle = accent;
    context.fill();
    context.strokeStyle = surface;
    context.lineWidth = 2;
    context.stroke();
    context.fillStyle = style("--on-accent");
    context.font = "600 11px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(name.toUpperCase(), x, y + 0.5);
  }
  if (here.z) {
    const [x, y] = placed(here.z);
    const covers = ["a", "b"].some((name) => ends[name] && Math.hypot(...placed(ends[name].z).map((at, n) => at - [x, y][n])) < 12);
    ring(x, y, covers ? 14 : 8, warm, 2.5);
    if (covers) return;
    context.beginPath();
    context.arc(x, y, 2.5, 0, 6.2832);
    context.fillStyle = warm;
    context.fill();
  }
}

function nearestTo(px, py, reach = REACH) {
  let best = -1, least = reach * reach;
  const classes = map.column < 0 ? null : map.classes[map.column], some = map.hidden.size > 0;
  const { x, y, scale, scaleY, left, top } = map;
  for (let i = 0; i < x.length; i++) {
    const dx = left + scale * x[i] - px, dy = top - scaleY * y[i] - py, far = dx * dx + dy * dy;
    if (far < least && !(some && classes && map.hidden.has(classes[i]))) { least = far; best = i; }
  }
  return best;
}

function hoverOn(row) {
  if (row === map.hover) return;
  map.hover = row;
  drawMarks();
  const tip = $("tip");
  tip.hidden = row < 0;
  if (row < 0) return;
  const parts = [preview(row)];
  if (map.column >= 0) {
    const column = model.columns[map.column];
    parts.push(element("span", { class: "class" }, `${column.name}: ${className(column, map.classes[map.column][row])}`));
  }
  tip.replaceChildren(...parts);
  const [x, y] = [screenX(map.x[row]), screenY(map.y[row])];
  tip.style.left = x < map.width / 2 ? `${x + 14}px` : "auto";
  tip.style.right = x < map.width / 2 ? "auto" : `${map.width - x + 14}px`;
  tip.style.top = y < map.height / 2 ? `${y + 10}px` : "auto";
  tip.style.bottom = y < map.height / 2 ? "auto" : `${map.height - y + 10}px`;
}

const className = (column, number) =>
  number === MISSING ? "none" : number === OTHER ? "other" : column.names[number];

function colourMenu() {
  const shares = plane.explained;
  const rows = model.columns.map((column) => [column.name, `${short(column.name, 20)}: explains ${percent(shares[column.name])}`]);
  options($("colour"), [...rows, ["", "none"]], map.column < 0 ? "" : model.columns[map.column].name);
}

function chooseColour(name) {
  map.column = model.columns.findIndex((column) => column.name === name);
  map.hidden.clear();
  refreshColours();
  colourMenu();
  legend();
  neighbourhood();
  draw();
}

function legend() {
  const list = $("legend");
  list.replaceChildren();
  if (map.column < 0) return;
  const column = model.columns[map.column], count = column.names.length;
  const rows = column.names.map((name, number) => [number, name, column.counts[number]]);
  if (column.others) rows.push([OTHER, `${whole(column.others)} others`, column.counts[count]]);
  if (column.counts[count + 1]) rows.push([MISSING, "none", column.counts[count + 1]]);
  for (const [number, name, size] of rows) {
    const swatch = element("span", { class: "swatch" });
    swatch.style.background = map.colours[number];
    const button = element("button", { type: "button", "aria-pressed": "true", title: "hide or show; double click: this one alone" },
      swatch, element("span", {}, name), element("small", {}, whole(size)));
    button.addEventListener("click", () => {
      if (!map.hidden.delete(number)) map.hidden.add(number);
      pressed();
    });
    button.addEventListener("dblclick", () => {
      const alone = rows.every(([other]) => other === number || map.hidden.has(other));
      map.hidden = new Set(alone ? [] : rows.map(([other]) => other).filter((other) => other !== number));
      pressed();
    });
    button.dataset.number = number;
    list.append(element("li", {}, button));
  }
  function pressed() {
    for (const button of list.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(!map.hidden.has(Number(button.dataset.number))));
    }
    hoverOn(-1);
    draw();
  }
}

function caption() {
  const all = model.rows === model.total ? whole(model.rows) : `${whole(model.rows)} of ${whole(model.total)}`;
  $("caption").textContent = `Posterior means of ${all} held-out ${model.modality}s (${model.source}); ${plane.note}.` +
    (model.apart ? "" : " They are all equal: the map is one dot.");
}

function zoom(factor, x = map.width / 2, y = map.height / 2) {
  const most = 4000, now = Math.min(Math.max(map.scale * factor, 1e-6), 1e9) / map.scale;
  if (!Number.isFinite(now) || map.scale * now > most * 1e5) return;
  map.left = x - (x - map.left) * now;
  map.top = y - (y - map.top) * now;
  map.scale *= now;
  map.scaleY *= now;
  moved();
}

function moved() {
  map.fitted = false;
  $("fit").hidden = false;
  hoverOn(-1);
  draw();
}

function fitAgain() {
  map.fitted = true;
  fit();
  draw();
}

function mapEvents() {
  const box = $("map"), pointers = new Map();
  let drag = null, pinch = 0;
  const at = (event) => { const edge = box.getBoundingClientRect(); return [event.clientX - edge.left - 1, event.clientY - edge.top - 1]; };
  box.addEventListener("pointerdown", (event) => {
    if (event.target.tagName === "BUTTON") return;
    pointers.set(event.pointerId, at(event));
    drag = { at: at(event), far: false };
  });
  box.addEventListener("pointermove", (event) => {
    const now = at(event), before = pointers.get(event.pointerId);
    if (!before) { hoverSoon(now); return; }
    pointers.set(event.pointerId, now);
    if (pointers.size === 2) {
      const [p, q] = [...pointers.values()], apart = Math.hypot(p[0] - q[0], p[1] - q[1]);
      if (pinch) zoom(apart / pinch, (p[0] + q[0]) / 2, (p[1] + q[1]) / 2);
      pinch = apart;
      if (drag) drag.far = true;
      return;
    }
    if (drag && !drag.far && Math.hypot(now[0] - drag.at[0], now[1] - drag.at[1]) > 4) {
      drag.far = true;
      box.setPointerCapture(event.pointerId);
    }
    if (drag && drag.far) {
      map.left += now[0] - before[0];
      map.top += now[1] - before[1];
      moved();
    }
  });
  const end = (event) => {
    const was = pointers.delete(event.pointerId);
    pinch = 0;
    if (was && event.type === "pointerup" && drag && !drag.far) {
      const row = nearestTo(...at(event));
      if (row >= 0) openPoint(row);
    }
    if (!pointers.size) drag = null;
  };
  box.addEventListener("pointerup", end);
  box.addEventListener("pointercancel", end);
  box.addEventListener("pointerleave", () => { if (!pointers.size) hoverOn(-1); });
  box.addEventListener("wheel", (event) => {
    event.preventDefault();
    const step = event.deltaMode === 1 ? 18 : 1;
    zoom(Math.exp(-event.deltaY * step * 0.0016), ...at(event));
  }, { passive: false });
  box.addEventListener("dblclick", (event) => { if (event.target.tagName !== "BUTTON") fitAgain(); });
  $("fit").addEventListener("click", fitAgain);
  let waiting = null;
  function hoverSoon(now) {
    if (!waiting) requestAnimationFrame(() => { const [x, y] = waiting; waiting = null; hoverOn(nearestTo(x, y)); });
    waiting = now;
  }
  box.addEventListener("keydown", mapKeys);
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function mapKeys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key in ARROWS) {
    event.preventDefault();
    hoverOn(nextPoint(...ARROWS[event.key]));
  } else if (event.key === "Enter" && map.hover >= 0) openPoint(map.hover);
  else if (event.key === "+" || event.key === "=") zoom(1.4);
  else if (event.key === "-") zoom(1 / 1.4);
  else if (event.key === "0") fitAgain();
}

// The next point in a direction: near, and little to the side.
function nextPoint(dx, dy) {
  let start = map.hover >= 0 ? map.hover : here.row;
  if (start == null || start < 0 || !visible(start)) return nearestTo(map.width / 2, map.height / 2, 1e6);
  const [x0, y0] = [screenX(map.x[start]), screenY(map.y[start])];
  let best = start, least = Infinity;
  for (let i = 0; i < map.x.length; i++) {
    if (i === start || !visible(i)) continue;
    const x = screenX(map.x[i]) - x0, y = screenY(map.y[i]) - y0;
    const along = x * dx + y * dy, side = Math.abs(x * dy) + Math.abs(y * dx);
    if (along > 0.5 && along + 2.5 * side < least) { least = along + 2.5 * side; best = i; }
  }
  return best;
}

// ---------------------------------------------------------------- find

const find = newest(async (words) => {
  if (!words.trim()) {
    map.found = null;
    $("found").textContent = "";
  } else {
    const { rows } = await ask("/api/find", { text: words });
    const flags = new Uint8Array(model.rows);
    for (const row of rows) flags[row] = 1;
    map.found = { rows, flags, next: 0 };
    $("found").textContent = rows.length ? whole(rows.length) : "none";
  }
  draw();
});

function nextFound() {
  if (!map.found || !map.found.rows.length) return;
  const row = map.found.rows[map.found.next % map.found.rows.length];
  map.found.next += 1;
  openPoint(row);
}

// ---------------------------------------------------------------- here

const openPoint = newest(async (row) => {
  const answer = await ask(`/api/point/${row}`);
  here.condition = answer.condition;
  const labels = Object.values(answer.labels).filter(Boolean).slice(0, 6).map((label) => short(label, 20)).join(", ");
  arrive(answer, `held-out ${model.modality} ${whole(row)}${labels ? ` (${labels})` : ""}`, row);
});

const writeSentence = newest(async (text) => {
  const answer = await ask("/api/encode", { text, condition: here.condition });
  arrive(answer, "your sentence");
  $("unknown").textContent = answer.unknown;
  $("unknown").hidden = !answer.unknown;
});

const drawZ = newest(async () => {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0];
  const answer = await ask("/api/draw", { seed, condition: here.condition });
  arrive(answer, model.deterministic ? "a draw from a Gaussian fitted to the codes" : "a draw from the prior");
});

// Sliders and steps move z; where `keep` is given, its base stays.
const moveTo = newest(async (z, from, keep) => {
  const answer = await ask("/api/decode", { z, condition: here.condition });
  // A step is shown at once: an answer that comes after the next step would bring the last one back.
  if (!keep && moveTo.waiting()) return;
  arrive(answer, from, null, keep, keep === "dimensions" && here.z !== z ? here.z : null);
});

// `newer` is where the sliders have gone since the request.
function arrive(answer, from, row = null, keep = false, newer = null) {
  Object.assign(here, { z: newer || answer.z, from, row, original: answer.original, compared: answer.compared, decoded: answer.decoded, near: answer.near, far: answer.far });
  if (!keep) {
    here.base = answer.z.slice();
    $("unknown").hidden = true;
    resetDirection();
  }
  renderHere();
  if (!newer) sliders(keep !== "dimensions");
  remember();
  drawMarks();
  samplesSoon();
}

function renderHere() {
  $("empty").hidden = true;
  $("place").hidden = false;
  for (const id of ["set-a", "set-b", "copy-z", "copy-python"]) $(id).disabled = false;
  $("from").textContent = here.from;
  const { original, decoded, compared, far } = here;
  $("original-side").hidden = !original;
  $("pair").classList.toggle("alone", !original);
  $("pair").classList.toggle("pictures", model.modality === "image");
  $("original-name").textContent = here.row === null ? "written" : "original";
  if (original) $("original").replaceChildren(shown(original, compared && compared.original));
  $("decoded").replaceChildren(shown(decoded, compared && compared.decoded));
  $("constant").hidden = !model.constant;
  for (const field of $("conditions").querySelectorAll("select, input, textarea")) field.value = here.condition[field.name] ?? field.value;
  $("distance").hidden = far === null;
  if (far !== null) {
    $("far-bar").style.width = `${Math.min(100, (100 * far) / 6)}%`;
    $("distance").classList.toggle("away", far > 3);
    const times = far >= 10 ? far.toFixed(0) : far.toFixed(1);
    $("far").textContent = `distance to data: ${times} × the usual${far > 3 ? ", away from all data" : ""}`;
  }
  neighbourhood();
}

function neighbourhood() {
  const near = here.near || [], list = $("near");
  $("near-section").hidden = !near.length;
  list.classList.toggle("images", model.modality === "image");
  const column = map.column < 0 ? null : model.columns[map.column], classes = column && map.classes[map.column];
  list.replaceChildren(...near.map((each) => {
    const button = element("button", { type: "button", onclick: () => openPoint(each.row) });
    if (column) {
      const swatch = element("span", { class: "swatch" });
      swatch.style.background = map.colours[classes[each.row]];
      button.append(swatch);
    }
    button.append(model.modality === "image" ? thumbnail(each.row) : shown(each.shown));
    if (column) button.append(element("span", { class: "class" }, className(column, classes[each.row])));
    button.append(element("span", { class: "far" }, each.distance.toFixed(2)));
    button.addEventListener("pointerenter", () => { map.hover = each.row; drawMarks(); });
    button.addEventListener("pointerleave", () => { map.hover = -1; drawMarks(); });
    return element("li", {}, button);
  }));
  $("says").textContent = column && near.length ? majority(column, classes, near) : "";
}

// What the neighbourhood says: its most frequent class, beside the share of that class in all data.
function majority(column, classes, near) {
  const counts = new Map();
  for (const each of near) counts.set(classes[each.row], (counts.get(classes[each.row]) || 0) + 1);
  const [number, count] = [...counts].sort((a, b) => b[1] - a[1])[0];
  const place = number === OTHER ? column.names.length : number === MISSING ? column.names.length + 1 : number;
  const share = column.counts[place] / model.rows;
  return `${count} of ${near.length}: ${column.name} ${className(column, number)} (${percent(share)} of all)`;
}

let samplesTimer = 0;
function samplesSoon() {
  clearTimeout(samplesTimer);
  if (!model.samples) return;
  $("samples-part").classList.add("old");
  samplesTimer = setTimeout(() => samplesNow(here.z), 300);
}

const samplesNow = newest(async (z) => {
  const seed = crypto.getRandomValues(new Uint32Array(1))[0];
  const answer = await ask("/api/decode", { z, samples: 3, seed, condition: here.condition });
  if (z !== here.z) return;
  $("samples").replaceChildren(...answer.samples.map((each) => element("li", {}, shown(each))));
  $("samples-part").hidden = false;
});

function conditionMenus() {
  $("conditions").replaceChildren(...model.conditions.map((each) => {
    here.condition[each.name] = each.default;
    const kind = each.classes ? "select" : each.lines ? "textarea" : "input";
    const field = element(kind, { name: each.name, type: kind === "input" ? "text" : null, rows: each.lines ? 3 : null });
    if (each.classes) options(field, each.classes.map((name) => [name, name]));
    else { field.maxLength = each.longest || model.longest; field.autocomplete = "off"; field.value = each.default; }
    field.addEventListener("change", () => {
      if (!field.value.trim()) field.value = here.condition[each.name];
      here.condition = { ...here.condition, [each.name]: field.value };
      if (here.z) moveTo(here.z, `${here.from.replace(/, given .*/, "")}, given ${each.name} ${short(field.value, 40)}`, true);
      if (way) line();
    });
    return element("label", { class: each.classes ? "" : each.lines ? "wide lines" : "wide" }, `given ${each.name}${each.lines ? ", one part a line" : ""}`, field);
  }));
  $("conditions").hidden = !model.conditions.length;
}

async function copy(text, name) {
  let done = `${name} copied`;
  try { await navigator.clipboard.writeText(text); } catch { done = `${name}: the browser refused`; }
  $("copied").textContent = done;
  setTimeout(() => { $("copied").textContent = ""; }, 2500);
}

const numbers = (z) => z.map((value) => Number(value.toPrecision(6)));

function python() {
  if (model.modality === "row") {
    // Of a field with parts, a list of them for the one row.
    const rows = model.conditions.map(({ name, lines }) => [name, lines ? [here.condition[name].split("\n")] : [here.condition[name]]]);
    const given = rows.length ? `, given=${JSON.stringify(Object.fromEntries(rows))}` : "";
    return `vae.decode_parts(np.array([${JSON.stringify(numbers(here.z))}])${given})`;
  }
  const given = model.modality === "text"
    ? (model.conditions.length ? `, given=${JSON.stringify(here.condition)}` : "")
    : Object.values(here.condition).map((value) => `, labels=[${JSON.stringify(value)}]`).join("");
  return `vae.decode(np.array([${JSON.stringify(numbers(here.z))}])${given})`;
}

// ---------------------------------------------------------------- between

function endForms() {
  for (const name of ["a", "b"]) {
    const form = $(`end-${name}`);
    const title = element("div", { class: "name" }, element("b", {}, name.toUpperCase()), element("span", { class: "where" }));
    form.replaceChildren(title);
    form.parentElement.classList.toggle("pictures", model.modality === "image");
    if (model.modality === "text") {
      const area = element("textarea", { rows: 1, maxlength: 2000, "aria-label": `Sentence ${name.toUpperCase()}`, placeholder: `Sentence ${name.toUpperCase()}` });
      area.addEventListener("input", () => grow(area));
      area.addEventListener("keydown", submitOnEnter);
      area.addEventListener("change", () => form.requestSubmit());
      form.append(area);
    }
    form.append(element("div", { class: "decoded" }));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const area = form.querySelector("textarea"), text = area ? area.value.trim() : "";
      if (text && !(ends[name] && ends[name].text === text)) setSentence(name, text);
    });
  }
  $("between-empty").textContent = model.modality === "text"
    ? "Write two sentences, or set A and B to what is above."
    : "Click two points and set them as A and B.";
}

const setSentence = (() => {
  const set = (name) => newest(async (text) => {
    const answer = await ask("/api/encode", { text, condition: here.condition });
    setEnd(name, { z: answer.z, text, where: "written", decoded: answer.decoded, unknown: answer.unknown });
  });
  const each = { a: set("a"), b: set("b") };
  return (name, text) => each[name](text);
})();

function setHereAs(name) {
  if (!here.z) return;
  const text = model.modality === "text" ? (here.original || here.decoded).text : "";
  setEnd(name, { z: here.z.slice(), text, where: here.from, decoded: here.decoded, original: here.original, drawn: !here.original });
}

function setEnd(name, end) {
  ends[name] = end;
  const form = $(`end-${name}`), area = form.querySelector("textarea");
  form.querySelector(".where").textContent = end.where;
  if (area) { area.value = end.text; grow(area); }
  const below = form.querySelector(".decoded");
  if (model.modality === "image") below.replaceChildren(...[end.original, end.decoded].filter(Boolean).map((each) => shown(each)));
  else if (model.modality === "row") below.replaceChildren(shown(end.original || end.decoded));
  else below.replaceChildren(end.drawn ? "" : end.decoded.text === end.text ? "decoded the same" : element("span", {}, "decoded: ", shown(end.decoded)),
    end.unknown ? element("span", { class: "warm" }, ` ${end.unknown}`) : "");
  openTab("between");
  if (ends.a && ends.b) line(); else drawMarks();
}

const line = newest(async () => {
  const body = { a: ends.a.z, b: ends.b.z, steps: STEPS, spherical: $("path").value === "arc", condition: here.condition };
  const answer = await ask("/api/line", body);
  way = answer;
  $("way").hidden = false;
  $("between-empty").hidden = true;
  $("heat").replaceChildren(...way.far.map((far) => {
    const cell = element("i");
    const heat = far === null ? 0 : Math.min(1, Math.max(0, (far - 1) / 4));
    cell.style.background = `color-mix(in srgb, var(--warm) ${Math.round(100 * heat)}%, var(--line))`;
    cell.title = far === null ? "" : `${far.toFixed(1)} × the usual distance to data`;
    return cell;
  }));
  const rows = way.rows.map(({ step, runs }, n) => {
    const before = n ? way.shown[way.rows[n - 1].step] : null;
    return row(`${Math.round((100 * step) / (STEPS - 1))} %`, way.shown[step], before, () => goStep(step), runs, { step });
  });
  $("steps").classList.toggle("images", model.modality === "image");
  $("steps").replaceChildren(...rows);
  drawMarks();
  stepped(Number($("step").value), false);
});

// A row of a way or a walk: greyed where it repeats the row above.
function row(share, value, before, open, runs, data = {}) {
  const content = value.image ? shown(value) : shown(value, before && !sameShown(value, before) ? runs : null);
  const item = element("li", { class: before && sameShown(value, before) ? "same" : "" },
    element("button", { type: "button", onclick: open }, element("span", { class: "share" }, share), content));
  Object.assign(item.dataset, data);
  return item;
}

function goStep(step) {
  $("step").value = step;
  stepped(step, true);
}

function stepped(step, go) {
  const share = Math.round((100 * step) / (STEPS - 1)), far = way.far[step];
  $("step-text").textContent = `${share} % from A to B${far === null ? "" : `, distance to data ${far.toFixed(1)} × the usual`}`;
  $("step").setAttribute("aria-valuetext", `${share} %: ${way.shown[step].text || ""}`);
  for (const item of $("steps").children) item.classList.toggle("now", Number(item.dataset.step) === step);
  if (!go) return;
  $("decoded").replaceChildren(shown(way.shown[step]));
  moveTo(way.z[step], `${share} % from A to B`);
}

// ---------------------------------------------------------------- dimensions

const sliderOf = new Map();

function latentOf(d) {
  let start = 0;
  for (const latent of model.latents) {
    if (d < start + latent.size) return { ...latent, start };
    start += latent.size;
  }
  return null;
}

function makeSliders() {
  const by = model.dimensions.some((each) => each.kl !== null) ? "KL" : "variance of the posterior mean";
  const loud = model.dimensions.filter((each) => !each.quiet), quiet = model.dimensions.filter((each) => each.quiet);
  $("order").textContent = `sorted by ${by}; from −4 to 4 standard deviations of the prior`;
  const most = Math.max(...model.dimensions.map((each) => each.kl ?? each.variance), 1e-9);
  const menus = model.latents.map((latent, n) => [latent, n]).filter(([latent]) => latent.classes);
  let start = 0;
  const starts = model.latents.map((latent) => { const at = start; start += latent.size; return at; });
  for (const [latent, n] of menus) {
    const select = element("select", { "aria-label": latent.name });
    options(select, latent.classes.map((name, place) => [String(place), name]));
    select.addEventListener("change", () => {
      const z = here.z.slice();
      for (let d = 0; d < latent.size; d++) z[starts[n] + d] = d === Number(select.value) ? 1 : 0;
      moveTo(z, `${latent.name} is ${latent.classes[select.value]}`, true);
    });
    sliderOf.set(`menu ${n}`, { update: (z) => {
      const part = z.slice(starts[n], starts[n] + latent.size);
      select.value = String(part.indexOf(Math.max(...part)));
    } });
    $("sliders").append(element("div", { class: "menu bar" }, element("label", {}, latent.name, select)));
  }
  const inMenu = (each) => latentOf(each.dimension).classes;
  $("sliders").append(...loud.filter((each) => !inMenu(each)).map((each) => slider(each, most)));
  const folded = quiet.filter((each) => !inMenu(each));
  $("quiet-sliders").append(...folded.map((each) => slider(each, most)));
  $("quiet").hidden = !folded.length;
  $("quiet-count").textContent = `${whole(folded.length)} quiet dimension${folded.length === 1 ? "" : "s"}`;
  if (!loud.length) $("order").textContent = `no dimension is above the threshold; ${$("order").textContent}`;
}

function slider(each, most) {
  const d = each.dimension, latent = latentOf(d);
  const [low, high] = latent.proportions ? [0, 1] : latent.spherical ? [-1, 1] : [each.mean - 4 * each.deviation, each.mean + 4 * each.deviation];
  const input = element("input", { type: "range", min: low, max: high, step: (high - low) / 400, "aria-label": `dimension ${d}` });
  const tick = element("i", { class: "tick" }), value = element("output");
  const bar = element("i"), size = each.kl ?? each.variance;
  bar.style.width = `${Math.round((100 * size) / most)}%`;
  const walked = element("ol", { class: "rows walked", hidden: true });
  const walk = element("button", { type: "button", class: "walk", "aria-label": `walk along dimension ${d}` }, "Walk");
  walk.addEventListener("click", () => walkAlong(d, walked));
  input.addEventListener("input", () => {
    const z = latent.proportions ? shares(latent, d, Number(input.value)) : here.z.slice();
    z[d] = Number(input.value);
    here.z = z;
    value.textContent = z[d].toFixed(2);
    drawMarks();
    moveTo(z, `dimension ${d} at ${z[d].toFixed(2)}`, "dimensions");
  });
  sliderOf.set(d, { update: (z, base) => {
    input.value = z[d];
    value.textContent = z[d].toFixed(2);
    // The thumb's middle moves between half of its width from either end.
    const place = Math.min(1, Math.max(0, (base[d] - low) / (high - low)));
    tick.style.left = `calc(8px + (100% - 16px) * ${place})`;
  } });
  return element("div", {}, element("div", { class: "dimension" },
    element("span", {}, `z${d}`), element("span", { class: "kl", title: each.kl === null ? "variance" : "KL, nats" }, bar, size.toFixed(2)),
    element("div", { class: "track" }, tick, input), value, walk), walked);
}

// Proportions add up: the others share what one leaves.
function shares(latent, d, value) {
  const z = here.z.slice();
  let rest = 0;
  for (let n = latent.start; n < latent.start + latent.size; n++) if (n !== d) rest += z[n];
  for (let n = latent.start; n < latent.start + latent.size; n++) {
    if (n !== d) z[n] = rest > 0 ? (z[n] * (1 - value)) / rest : (1 - value) / (latent.size - 1);
  }
  return z;
}

function sliders(all = true) {
  $("dimensions-empty").hidden = true;
  $("dimensions-part").hidden = false;
  if (!here.z) return;
  for (const each of sliderOf.values()) each.update(here.z, here.base);
  if (all) for (const walked of document.querySelectorAll(".walked")) walked.hidden = true;
}

const walkAlong = newest(async (d, list) => {
  const answer = await ask("/api/walk", { z: here.z, axis: d, condition: here.condition });
  list.hidden = false;
  list.classList.toggle("images", model.modality === "image");
  list.replaceChildren(...answer.shown.map((value, n) =>
    row(answer.values[n].toFixed(1), value, n ? answer.shown[n - 1] : null,
      () => { here.z = answer.z[n]; moveTo(here.z, `dimension ${d} at ${answer.values[n].toFixed(2)}`, "dimensions"); }, answer.rows[n].runs)));
});

// ---------------------------------------------------------------- direction

// What gives z a place to begin from.
const beginning = () => (model.modality === "text" ? "Click a point, or write a sentence," : "Click a point");

function directionMenus() {
  const columns = model.columns.filter((column) => column.names.length > 1);
  const labels = model.columns.filter((column) => !column.computed);
  $("direction-part").hidden = !columns.length;
  $("direction-empty").hidden = Boolean(labels.length);
  $("direction-empty").textContent = columns.length
    ? "The data has no labels: --data and --label-column name some."
    : "There are no classes: --data and --label-column name some.";
  $("arithmetic").hidden = model.modality !== "text";
  if (!columns.length) return;
  const explains = (column) => plane.explained[column.name];
  const named = labels.filter((column) => column.names.length > 1);
  const chosen = (named.length ? named : columns).reduce((best, each) => (explains(each) > explains(best) ? each : best)).name;
  options($("direction-column"), columns.map((column) => [column.name, short(column.name)]), chosen);
  classMenus();
}

function classMenus() {
  const column = model.columns.find((each) => each.name === $("direction-column").value);
  const names = column.names.map((name) => [name, short(name)]);
  options($("direction-from"), names, column.names[0]);
  options($("direction-to"), names, column.names[column.names.length - 1]);
  resetDirection();
}

function resetDirection() {
  direction = null;
  $("strength").value = 0;
  $("strength-text").textContent = "";
  $("direction-facts").textContent = "";
}

const towards = newest(async (strength) => {
  if (!here.z) {
    $("strength-text").textContent = `${beginning()} to begin from.`;
    return;
  }
  const [column, from, to] = ["column", "from", "to"].map((name) => $(`direction-${name}`).value);
  if (!direction) {
    const answer = await ask("/api/direction", { column, from, to, condition: here.condition });
    direction = { ...answer, base: here.base.slice() };
    const length = answer.length === null ? "" : `${answer.length.toFixed(1)} × the spread within the classes; `;
    $("direction-facts").textContent = `Length: ${length}from ${plural(answer.counts[0], model.modality)} to ${whole(answer.counts[1])}. ` +
      (answer.carried === null ? "The model does not write all that it encodes: the direction is not checked." : `Of ${whole(answer.checked)} that are ${from}, moved once along it, decoded and encoded again, ${percent(answer.carried)} end nearest to ${to}.`);
  }
  $("strength-text").textContent = `strength ${strength.toFixed(2)}`;
  const z = direction.base.map((value, d) => Math.max(-50, Math.min(50, value + strength * direction.step[d])));
  const answer = await ask("/api/decode", { z, condition: here.condition });
  arrive(answer, `${strength.toFixed(2)} × from ${from} to ${to}`, null, true);
});

const compute = newest(async (plus, minus) => {
  const answer = await ask("/api/direction", { plus, minus, condition: here.condition });
  arrive(answer, "A − B + C");
});

// ---------------------------------------------------------------- tabs, address, keys

function openTab(name) {
  for (const each of TABS) {
    $(each).hidden = each !== name;
    $(`tab-${each}`).setAttribute("aria-selected", String(each === name));
    $(`tab-${each}`).tabIndex = each === name ? 0 : -1;
  }
  remember();
}

const openedTab = () => TABS.find((name) => !$(name).hidden);

// A z in the address: half precision in base64.
function half(value) {
  const view = new DataView(new ArrayBuffer(4));
  view.setFloat32(0, value);
  const bits = view.getUint32(0), sign = (bits >>> 16) & 0x8000, exponent = ((bits >>> 23) & 255) - 112;
  if (exponent <= 0) {
    return sign | Math.min(1023, Math.round(Math.abs(value) * 2 ** 24));
  }
  if (exponent >= 31) return sign | 0x7bff;
  return sign | Math.min(0x7bff, ((exponent << 10) | ((bits >>> 13) & 1023)) + ((bits >>> 12) & 1));
}

function unhalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, part = bits & 1023;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + part / 1024) : part * 2 ** -24);
}

function remember() {
  const parts = [];
  if (here.z) {
    const bytes = new Uint8Array(2 * here.z.length);
    here.z.forEach((value, d) => { const bits = half(value); bytes[2 * d] = bits & 255; bytes[2 * d + 1] = bits >> 8; });
    parts.push(`z=${btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`);
  }
  for (const [name, value] of Object.entries(here.condition)) parts.push(`given.${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  parts.push(`tab=${openedTab()}`);
  history.replaceState(null, "", `#${parts.join("&")}`);
}

function recall() {
  const given = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B"));
  if (TABS.includes(given.get("tab"))) openTab(given.get("tab")); else openTab("between");
  for (const each of model.conditions) {
    const value = given.get(`given.${each.name}`);
    if (each.classes ? each.classes.includes(value) : value?.trim()) here.condition[each.name] = value;
  }
  return given.get("z");
}

function restore(text) {
  let bytes;
  try { bytes = atob(text.replaceAll("-", "+").replaceAll("_", "/")); } catch { return; }
  if (bytes.length !== 2 * model.dim) return;
  const z = [];
  for (let d = 0; d < model.dim; d++) z.push(unhalf(bytes.charCodeAt(2 * d) | (bytes.charCodeAt(2 * d + 1) << 8)));
  if (z.every((value) => Number.isFinite(value) && Math.abs(value) <= 50)) moveTo(z, "from the address");
}

function grow(area) {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + 2}px`;
}

function submitOnEnter(event) {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  event.target.form.requestSubmit();
}

function keys(event) {
  const typing = event.target.matches("input:not([type=range]), textarea, select");
  if (event.key === "Escape" && event.target === $("find")) {
    $("find").value = "";
    find("");
    $("map").focus();
    return;
  }
  if (typing || event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
  if (event.key === "/") { event.preventDefault(); $("find").focus(); }
  else if (event.key === "a" || event.key === "b") setHereAs(event.key);
  else if (event.key === "?") $("keys").showModal();
  else if ((event.key === "[" || event.key === "]") && way) {
    goStep(Math.max(0, Math.min(STEPS - 1, Number($("step").value) + (event.key === "]" ? 1 : -1))));
  }
}

function events() {
  document.addEventListener("keydown", keys);
  $("colour").addEventListener("change", () => chooseColour($("colour").value));
  $("axes").addEventListener("change", chooseAxes);
  for (const id of ["axis-x", "axis-y"]) $(id).addEventListener("change", chooseAxes);
  $("find").addEventListener("input", () => find($("find").value));
  $("find-form").addEventListener("submit", (event) => { event.preventDefault(); nextFound(); });
  $("write").addEventListener("submit", (event) => {
    event.preventDefault();
    if ($("sentence").value.trim()) writeSentence($("sentence").value);
  });
  for (const area of document.querySelectorAll("textarea")) {
    area.addEventListener("keydown", submitOnEnter);
    area.addEventListener("input", () => grow(area));
  }
  $("set-a").addEventListener("click", () => setHereAs("a"));
  $("set-b").addEventListener("click", () => setHereAs("b"));
  $("draw").addEventListener("click", () => drawZ());
  $("copy-z").addEventListener("click", () => copy(JSON.stringify(numbers(here.z)), "z"));
  $("copy-python").addEventListener("click", () => copy(python(), "Python"));
  $("step").addEventListener("input", () => stepped(Number($("step").value), true));
  $("path").addEventListener("change", () => { if (ends.a && ends.b) line(); });
  $("reset").addEventListener("click", () => moveTo(here.base, "the posterior mean", true));
  $("direction-column").addEventListener("change", classMenus);
  for (const id of ["direction-from", "direction-to"]) $(id).addEventListener("change", resetDirection);
  $("strength").addEventListener("input", () => towards(Number($("strength").value)));
  $("arithmetic").addEventListener("submit", (event) => {
    event.preventDefault();
    const [a, b, c] = ["plus-a", "minus-b", "plus-c"].map((id) => $(id).value.trim());
    compute([a, c].filter(Boolean), [b].filter(Boolean));
  });
  $("keys-open").addEventListener("click", () => $("keys").showModal());
  for (const name of TABS) $(`tab-${name}`).addEventListener("click", () => openTab(name));
  document.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = TABS[(TABS.indexOf(openedTab()) + step + TABS.length) % TABS.length];
    openTab(next);
    $(`tab-${next}`).focus();
  });
  new ResizeObserver(() => { fit(); draw(); }).observe($("map"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { refreshColours(); legend(); neighbourhood(); draw(); });
  mapEvents();
}

const chooseAxes = newest(async () => {
  const pair = $("axes").value === "pair";
  $("pair-of-axes").hidden = !pair;
  await loadMap(pair ? `${$("axis-x").value},${$("axis-y").value}` : $("axes").value);
});

function axesMenus() {
  const names = model.axes.map((name) => [name, name === "pca" ? "principal" : `separating ${short(name.slice(4))}`]);
  options($("axes"), [...names, ...(model.dim > 1 ? [["pair", "two dimensions"]] : [])], "pca");
  $("axes-label").hidden = model.dim === 1;
  const dimensions = model.dimensions.map((each) => [String(each.dimension), `z${each.dimension}`]);
  options($("axis-x"), dimensions, dimensions[0][0]);
  options($("axis-y"), dimensions, dimensions[Math.min(1, dimensions.length - 1)][0]);
}

function header() {
  document.title = `${model.name} · textvae explore`;
  $("name").textContent = model.name;
  const all = model.rows === model.total ? whole(model.rows) : `${whole(model.rows)} of ${whole(model.total)}`;
  const recipe = model.recipe === model.name ? "" : `${model.recipe}, `;
  $("about").textContent = `${recipe}${all} held-out ${model.modality}${model.total === 1 ? "" : "s"} of ${model.source}, ${plural(model.dim, "dimension")}${model.some ? " of whole rows" : ""}`;
  document.body.classList.toggle("parts", model.modality === "row");
  $("note").textContent = model.note;
  $("note").hidden = !model.note;
  $("figures").replaceChildren(...model.figures.map(({ name, value, of }) => {
    const number = Number.isInteger(value) ? String(value) : value.toFixed(2);
    const most = of == null ? null : element("small", {}, ` of ${Number.isInteger(of) ? of : of.toFixed(2)}`);
    return element("div", {}, element("dt", {}, name), element("dd", {}, number, most));
  }));
  if (model.alarm) {
    $("alarm").replaceChildren(model.alarm.text);
    if (model.alarm.command) $("alarm").append(" For measures:", element("code", {}, model.alarm.command));
    $("alarm").hidden = false;
  }
  $("write").hidden = model.modality !== "text";
  if (model.modality !== "text") {
    $("empty").textContent = model.modality === "row" ? "Click a point. Rows with parts cannot be written on this page." : "Click a point.";
    $("dimensions-empty").textContent = "Click a point: then its dimensions move here.";
  }
  $("path-label").hidden = model.latents.every((latent) => latent.spherical);
  if (model.rows === 1) {
    $("map-section").hidden = true;
    $("empty").textContent = model.modality === "text" ? "There is one text, and no map. Write a sentence." : `There is one ${model.modality}, and no map.`;
  }
}

async function start() {
  model = await ask("/api/model");
  header();
  conditionMenus();
  axesMenus();
  makeSliders();
  endForms();
  map.column = model.columns.findIndex((column) => column.name === model.colour);
  refreshColours();
  events();
  const z = recall();
  await loadMap("pca");
  directionMenus();
  legend();
  document.documentElement.dataset.ready = Math.round(performance.now());
  if (z) restore(z);
  else if (model.rows === 1) openPoint(0);
  for (let number = 0; number * BLOCK < Math.min(model.rows, 5000); number++) await block(number).ready.catch(() => {});
}

guarded(start);
