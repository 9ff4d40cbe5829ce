// The pictures that stand ready. Event "select": {key}.
function pick(key) { trigger("select", {key}); }
element.addEventListener("click", event => {
  const thumb = event.target.closest(".thumb");
  if (thumb) pick(thumb.dataset.key);
});
element.addEventListener("keydown", event => {
  const thumb = event.target.closest(".thumb"), step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
  if (thumb && step) {
    const all = [...element.querySelectorAll(".thumb")];
    all[(all.indexOf(thumb) + step + all.length) % all.length].focus();
    event.preventDefault();
  } else if (event.key === "Enter" && event.target.matches(".scene-number input") && event.target.value !== "") {
    event.target.blur();  // "change" picks it, once
    event.preventDefault();
  }
});
element.addEventListener("change", event => {
  if (event.target.matches(".scene-number input") && event.target.value !== "") pick("scene:" + event.target.value);
});
