// The search of the site; HEADINGS, which build_site.py writes before this, holds links, titles and texts.
const box = document.querySelector("nav input"), list = document.querySelector("nav .pages"), all = list.innerHTML;
box.addEventListener("input", () => {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) { list.innerHTML = all; return; }
  const found = HEADINGS.filter(([page, title, text]) => words.every((word) => (title + " " + text).toLowerCase().includes(word)));
  found.sort((a, b) => words.every((w) => b[1].toLowerCase().includes(w)) - words.every((w) => a[1].toLowerCase().includes(w)));
  list.replaceChildren(...found.slice(0, 30).map(([page, title]) => {
    const link = document.createElement("a");
    link.href = page;
    link.textContent = title;
    return link;
  }));
});
