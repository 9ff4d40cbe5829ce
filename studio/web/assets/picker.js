// The pictures that stand ready. Event "select": {key}. The Tab key comes to one of them, arrow keys go on.
let from = ""; // where the focus was when a picture was picked: what is shown anew has lost it
function pick(key, where) { from = where; trigger("select", {key}); }
function thumbs() { return [...element.querySelectorAll(".thumb")]; }
function go(thumb) {
  for (const each of thumbs()) each.tabIndex = each === thumb ? 0 : -1;
  thumb.focus();
}
element.addEventListener("click", event => {
  const thumb = event.target.closest(".thumb");
  if (thumb) pick(thumb.dataset.key, ".thumb[tabindex='0']");
});
element.addEventListener("keydown", event => {
  const thumb = event.target.closest(".thumb"), step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
  if (thumb && step) {
    const all = thumbs();
    go(all[(all.indexOf(thumb) + step + all.length) % all.length]);
    event.preventDefault();
  } else if (event.key === "Enter" && event.target.matches(".scene-number input") && event.target.value !== "") {
    event.target.blur();  // "change" picks it, once
    event.preventDefault();
  }
});
element.addEventListener("change", event => {
  if (event.target.matches(".scene-number input") && event.target.value !== "") pick("scene:" + event.target.value, ".scene-number input");
});
watch("value", () => {
  if (from && (document.activeElement === document.body || element.contains(document.activeElement))) element.querySelector(from)?.focus();
  from = "";
});
