// Words that are broken over two lines, in one page or dialog. Returns sentences, none if there are none.
(root) => {
  // Where a word may break: after these, as names of images and addresses do. Longer ones do not fit anywhere.
  const PIECE = /[^\s/\-._:@·…\u200b]+/gu;
  const LONGEST = 24;
  const found = new Set();
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const parent = text.parentElement;
    if (!text.data.trim() || parent.closest("pre, code, script, style, .hidden, .visually-hidden")) continue;
    if (!parent.checkVisibility({ visibilityProperty: true })) continue;
    // only heard, not seen
    if (getComputedStyle(parent).clipPath === "inset(50%)") continue;
    if (parent.getBoundingClientRect().width < 3 || parent.closest("h2, th, thead")?.getBoundingClientRect().width < 3) continue;
    for (const piece of text.data.matchAll(PIECE)) {
      if (piece[0].length > LONGEST || piece[0].length < 3) continue;
      const range = document.createRange();
      range.setStart(text, piece.index);
      range.setEnd(text, piece.index + piece[0].length);
      const tops = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
      if (tops.size > 1) found.add(`a word is broken: “${piece[0]}” in ${parent.localName}.${parent.className}`);
    }
  }
  return [...found];
};
