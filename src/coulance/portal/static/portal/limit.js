// While an amount or a quantity is typed, the other stands beside it. Without this script the next step shows both.
"use strict";
for (const form of document.querySelectorAll("form[data-compute]")) {
  const amount = form.elements.amount, quantity = form.elements.quantity, other = form.querySelector(".other");
  let waiting = 0, asked = 0;
  const show = (typed, empty) => {
    if (typed.value.trim()) empty.value = "";
    clearTimeout(waiting);
    const mine = ++asked;
    if (!typed.value.trim()) { other.textContent = ""; return; }
    waiting = setTimeout(async () => {
      const query = new URLSearchParams({ charge: form.elements.charge.value, [typed.name]: typed.value });
      const answer = await fetch(form.dataset.compute + "?" + query);
      if (!answer.ok || mine !== asked) return;
      const said = await answer.json();
      other.textContent = said.fault || "= " + said.other;
    }, 200);
  };
  amount.addEventListener("input", () => show(amount, quantity));
  quantity.addEventListener("input", () => show(quantity, amount));
  // Somebody may have typed before this was loaded.
  if (amount.value.trim()) show(amount, quantity); else if (quantity.value.trim()) show(quantity, amount);
}
