// The picture that one draws holes on. Value: {image, side, title} as JSON; event "input": {key, classifier, hole} as packed bits.
const shell = element.querySelector(".canvas"), screen = shell.querySelector("canvas");
const pen = screen.getContext("2d"), layer = document.createElement("canvas"), ink = layer.getContext("2d", {willReadFrequently: true});
const picture = new Image(), size = element.querySelector(".brush input"), said = element.querySelector(".canvas-said");
const KEPT = "infill-hole", PICTURE = "infill-picture";
let of = {}; // whose hole it is: the picture's key and the classifier
let side = 224, tool = "brush", from = null, cursor = null, before = [], pending = 0;

function css(name) { return getComputedStyle(shell).getPropertyValue(name).trim(); }
function radius() { return Number(size.value) / 2; }

function show() {
  screen.width = screen.height = side;
  if (picture.complete && picture.naturalWidth) pen.drawImage(picture, 0, 0, side, side);
  pen.save();
  pen.globalAlpha = 0.72;
  pen.drawImage(layer, 0, 0);
  pen.restore();
  if (from && tool === "box" && cursor) outline(...rectangle(from, cursor));
  if (cursor && document.activeElement === shell && (from || shell.classList.contains("keys"))) cross(cursor);
}
function outline(x, y, w, h) { pen.strokeStyle = "#ffee55"; pen.lineWidth = 1.5; pen.setLineDash([4, 3]); pen.strokeRect(x, y, w, h); pen.setLineDash([]); }
function cross([x, y]) {
  pen.strokeStyle = "#ffee55"; pen.lineWidth = 1.5; pen.beginPath(); pen.arc(x, y, Math.max(radius(), 2), 0, 7); pen.stroke();
}
function rectangle(a, b) { return [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1])]; }
function place(event) {
  const box = screen.getBoundingClientRect();
  return [(event.clientX - box.left) * side / box.width, (event.clientY - box.top) * side / box.height];
}
function remember() { before.push(ink.getImageData(0, 0, side, side)); if (before.length > 30) before.shift(); }
function stroke(a, b) {
  ink.globalCompositeOperation = tool === "erase" ? "destination-out" : "source-over";
  ink.strokeStyle = ink.fillStyle = css("--hole"); ink.lineWidth = 2 * radius(); ink.lineCap = ink.lineJoin = "round";
  ink.beginPath(); ink.moveTo(...a); ink.lineTo(b[0] + 0.01, b[1]); ink.stroke();
  ink.globalCompositeOperation = "source-over";
}
function fillBox(a, b) { ink.fillStyle = css("--hole"); ink.fillRect(...rectangle(a, b)); }

function packed() {
  const pixels = ink.getImageData(0, 0, side, side).data, bytes = new Uint8Array(Math.ceil(side * side / 8));
  let count = 0;
  for (let i = 0; i < side * side; i++) if (pixels[4 * i + 3] >= 128) { bytes[i >> 3] |= 128 >> (i & 7); count++; }
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return [btoa(text), count];
}
function send() {
  clearTimeout(pending);
  pending = setTimeout(() => {
    const [hole, count] = packed(), share = (100 * count / (side * side)).toFixed(1);
    said.textContent = count ? `${share} % of the view is removed` : "nothing is removed yet";
    if (count) sessionStorage.setItem(KEPT, JSON.stringify({...of, hole})); else sessionStorage.removeItem(KEPT);
    trigger("input", {...of, hole});
  }, 120);
}
function done() { from = null; send(); show(); }

screen.addEventListener("pointerdown", event => {
  if (event.button) return;
  shell.classList.remove("keys");
  shell.focus({preventScroll: true});
  screen.setPointerCapture(event.pointerId);
  remember();
  from = cursor = place(event);
  if (tool !== "box") stroke(from, from);
  show();
  event.preventDefault();
});
screen.addEventListener("pointermove", event => {
  if (from && !(event.buttons & 1)) return; // the stroke is the keys'
  const at = place(event);
  if (from && tool !== "box") stroke(cursor, at);
  cursor = at;
  show();
});
screen.addEventListener("pointerup", event => {
  if (!from) return;
  if (tool === "box") fillBox(from, place(event));
  done();
});
screen.addEventListener("pointerleave", () => { if (!from) { cursor = null; show(); } });
screen.addEventListener("pointercancel", () => { if (from) done(); });
shell.addEventListener("focus", () => { shell.classList.toggle("keys", shell.matches(":focus-visible")); show(); });
shell.addEventListener("blur", () => { shell.classList.remove("keys"); if (from) done(); else show(); });
shell.addEventListener("keydown", event => {
  shell.classList.add("keys");
  const step = event.shiftKey ? 16 : 4, moves = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
  cursor = cursor || [side / 2, side / 2];
  if (moves[event.key]) {
    const to = cursor.map((each, axis) => Math.min(side - 1, Math.max(0, each + step * moves[event.key][axis])));
    if (from && tool !== "box") stroke(cursor, to);
    cursor = to;
  } else if (event.key === " " || event.key === "Enter") {
    if (from) { if (tool === "box") fillBox(from, cursor); done(); }
    else { remember(); from = cursor; if (tool !== "box") stroke(cursor, cursor); }
  } else if (event.key === "Escape") { if (from) { from = null; undo(); } }
  else if (event.key === "z" && (event.ctrlKey || event.metaKey)) { undo(); }
  else return;
  event.preventDefault();
  show();
});
function undo() { const last = before.pop(); if (last) { ink.putImageData(last, 0, 0); done(); } }
const acts = {
  undo,
  clear() { remember(); ink.clearRect(0, 0, side, side); done(); },
  invert() {
    remember();
    ink.globalCompositeOperation = "source-out"; ink.fillStyle = css("--hole"); ink.fillRect(0, 0, side, side);
    ink.globalCompositeOperation = "source-over"; done();
  },
};
element.addEventListener("click", event => {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.dataset.tool) {
    tool = button.dataset.tool;
    element.querySelectorAll("[data-tool]").forEach(each => each.setAttribute("aria-pressed", String(each === button)));
  } else acts[button.dataset.act]?.();
});
picture.onload = show;
function take() {
  const told = props.value ? JSON.parse(props.value) : null;
  if (!told) return;
  side = told.side;
  layer.width = layer.height = side;
  size.max = Math.round(side / 2);
  before = []; from = cursor = null;
  said.textContent = "nothing is removed yet";
  shell.setAttribute("aria-label", `${told.title}: draw what is to be removed; arrow keys move the brush, space begins and ends a stroke`);
  picture.src = told.image;
  of = {key: told.key, classifier: told.classifier};
  sessionStorage.setItem(PICTURE, told.key);
  recall();
  show();
}
// After a reload: what was drawn on this very view. Of another one it is forgotten.
function recall() {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) || "{}");
  if (kept.key !== of.key || kept.classifier !== of.classifier) { sessionStorage.removeItem(KEPT); return; }
  const bits = Uint8Array.from(atob(kept.hole), each => each.charCodeAt(0));
  ink.fillStyle = css("--hole");
  ink.fillRect(0, 0, side, side);
  const drawn = ink.getImageData(0, 0, side, side);
  for (let i = 0; i < side * side; i++) if (!(bits[i >> 3] & (128 >> (i & 7)))) drawn.data[4 * i + 3] = 0;
  ink.putImageData(drawn, 0, 0);
  send();
}
watch("value", take);
take();
