// A result: the slider shows its stages, a click on the map asks for a spot. Event "select": {x, y} in the view.
function bars(stage) {
  const list = document.createElement("ol");
  list.className = "bars";
  for (const [name, p, role] of stage.rows) {
    const row = list.appendChild(document.createElement("li")), label = row.appendChild(document.createElement("span"));
    const number = row.appendChild(document.createElement("span")), bar = row.appendChild(document.createElement("i"));
    row.className = role;
    label.className = "name"; label.textContent = label.title = name;
    number.className = "p"; number.textContent = p.toFixed(3);
    bar.style.setProperty("--p", p);
  }
  return list;
}
function slide(section) {
  const stages = JSON.parse(section.dataset.stages), range = section.querySelector("input[type=range]");
  const stage = stages[Number(range.value)], now = section.querySelector(".curve .now");
  section.querySelector(".stage-image").src = stage.image;
  section.querySelector(".stage-share").textContent = stage.share;
  section.querySelector(".stage-score").textContent = stage.score;
  range.setAttribute("aria-valuetext", `${stage.share} ${stage.score}`.trim());
  section.querySelector(".stage-bars").replaceChildren(bars(stage));
  const x = 300 * Number(range.value) / (stages.length - 1);
  now.setAttribute("x1", x); now.setAttribute("x2", x);
}
element.addEventListener("input", event => {
  const section = event.target.closest(".stages");
  if (section && event.target.type === "range") slide(section);
});
watch("value", () => element.querySelectorAll(".stages").forEach(section => {
  section.querySelector("input[type=range]").value = section.querySelector("input[type=range]").getAttribute("value");
  slide(section);
}));
function mark(map, x, y) {
  const cross = map.querySelector(".cross");
  if (!cross) return;
  cross.hidden = false;
  cross.style.left = `${100 * x}%`; cross.style.top = `${100 * y}%`;
}
function ask(map, x, y) {
  const [left, top, right, bottom] = map.dataset.box.split(",").map(Number);
  const at = {x: (x - left) / (right - left), y: (y - top) / (bottom - top)};
  mark(map, x, y);
  trigger("select", at);
}
function at(map) {
  const cross = map.querySelector(".cross");
  return cross && !cross.hidden ? [parseFloat(cross.style.left) / 100, parseFloat(cross.style.top) / 100] : [0.5, 0.5];
}
element.addEventListener("click", event => {
  const map = event.target.closest(".map[data-box]:not(.quiet-map)");
  if (!map) return;
  const box = map.getBoundingClientRect();
  ask(map, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
});
element.addEventListener("keydown", event => {
  const map = event.target.closest(".map[data-box]:not(.quiet-map)"), moves = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
  if (!map) return;
  const now = at(map);
  if (moves[event.key]) {
    const steps = map.dataset.steps.split(",").map(each => Number(each) * (event.shiftKey ? 16 : 4));
    mark(map, ...now.map((each, axis) => Math.min(0.999, Math.max(0, each + steps[axis] * moves[event.key][axis]))));
  } else if (event.key === "Enter" || event.key === " ") ask(map, ...now);
  else return;
  event.preventDefault();
});
