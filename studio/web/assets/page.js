// For the whole page: copying.
() => {
  document.addEventListener("click", async event => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const text = button.closest(".copy").querySelector("code").textContent;
    try { await navigator.clipboard.writeText(text); button.textContent = "copied"; }
    catch { const range = document.createRange(); range.selectNodeContents(button.closest(".copy").querySelector("code")); getSelection().removeAllRanges(); getSelection().addRange(range); button.textContent = "press Ctrl+C"; }
    setTimeout(() => { button.textContent = "copy"; }, 1800);
  });
}
