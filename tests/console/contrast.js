() => {
  // Contrast of text against what is behind it, by WCAG 2.2: at least 4.5, or 3 for large text.
  const part = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const rgb = (text) => (text.match(/[\d.]+/g) || []).map(Number);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = rgb(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const out = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const e = walker.currentNode.parentElement;
    if (!text || e.closest("svg, .unseen, .skip, option") || !e.getClientRects().length) continue;
    const style = getComputedStyle(e);
    const size = parseFloat(style.fontSize);
    const [more, less] = [light(rgb(style.color)), light(behind(e))].sort((x, y) => y - x);
    const ratio = (more + 0.05) / (less + 0.05);
    const needed = size >= 24 || (Number(style.fontWeight) >= 700 && size >= 18.66) ? 3 : 4.5;
    if (ratio < needed) out.add(`${ratio.toFixed(2)} ${style.color}: ${text.slice(0, 40)}`);
  }
  return [...out];
}
