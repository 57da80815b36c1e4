// Shows how far a close is, and reloads once it is over. Without script the browser refreshes the page instead.
(() => {
  const box = document.querySelector("[data-progress]");
  if (!box) return;
  const bar = box.querySelector("progress");
  const put = (name, value) => { box.querySelector(`[data-${name}]`).textContent = value; };
  const look = async () => {
    try {
      const answer = await fetch(box.dataset.progress, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(answer.status);
      const { state, done, total } = await answer.json();
      if (state === "done" || state === "failed") { location.reload(); return; }
      bar.max = total || 1;
      bar.value = done;
      put("done", done.toLocaleString());
      put("total", total.toLocaleString());
    } catch { /* the server may be starting anew: look again */ }
    setTimeout(look, 700);
  };
  setTimeout(look, 300);
})();
