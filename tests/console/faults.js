() => {
  // What a person needs who can't see the page, or can't use a mouse; asked of the page itself.
  const out = [];
  const all = (what) => [...document.querySelectorAll(what)];
  const shown = (e) => {
    const box = e.getBoundingClientRect();
    return box.width && box.height && getComputedStyle(e).visibility !== "hidden";
  };
  const labelled = (e) =>
    (e.getAttribute("aria-labelledby") || "").split(" ").map((id) => document.getElementById(id)?.textContent || "").join(" ");
  const name = (e) => (e.getAttribute("aria-label") || labelled(e) || e.textContent || e.title || e.alt || "").trim();
  if (!document.documentElement.lang) out.push("no language");
  if (!document.title.trim()) out.push("no title");
  if (all("main").length !== 1) out.push("not one main");
  if (all("h1").length !== 1) out.push(`not one h1: ${all("h1").length}`);
  let level = 1;
  for (const h of all("main h1, main h2, main h3, main h4")) {
    const now = Number(h.tagName[1]);
    if (now > level + 1) out.push(`heading jumps from ${level} to ${now}: ${h.textContent.slice(0, 40)}`);
    level = now;
  }
  const ids = all("[id]").map((e) => e.id);
  for (const id of new Set(ids)) if (ids.filter((x) => x === id).length > 1) out.push(`id twice: ${id}`);
  for (const e of all("[aria-labelledby]"))
    for (const id of e.getAttribute("aria-labelledby").split(" "))
      if (!document.getElementById(id)) out.push(`no such label: ${id}`);
  for (const e of all("input:not([type=hidden]), select, textarea"))
    if (!e.labels?.length && !e.getAttribute("aria-label")) out.push(`no label: ${e.name}`);
  for (const e of all("a, button, summary")) if (shown(e) && !name(e)) out.push(`no name: ${e.outerHTML.slice(0, 80)}`);
  for (const e of all("th")) if (!e.hasAttribute("scope") && e.textContent.trim()) out.push(`th without scope: ${e.textContent}`);
  for (const e of all("nav")) if (!name(e)) out.push("nav without a name");
  for (const e of all("[tabindex]")) if (e.tabIndex > 0) out.push("tabindex above zero");
  const width = document.documentElement.scrollWidth;
  if (width > innerWidth) out.push(`wider than the window: ${width}`);
  return out;
}
