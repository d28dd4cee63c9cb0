"""An answer in an output cell of a notebook: the report's page where scripts run, else the static small HTML.

The page stands in a frame of its own, which has no access to the notebook. A reader without scripts (an untrusted
notebook, GitHub) sees what the script would have replaced.
"""

from uuid import uuid4

from sxq.pictures.inline_html import result_html
from sxq.pictures.page import page, script_json
from sxq.values.result import Result

LARGEST = 1_500_000  # characters of a page; a larger one would bloat the notebook's file
HIGHEST = 1600  # pixels of the frame; a longer page scrolls

_HEIGHT = """<script>
new ResizeObserver(() => parent.postMessage({sxq: Math.ceil(document.body.scrollHeight)}, "*")).observe(document.body);
</script>"""
_SHOW = """<script>
(() => {
  const place = document.getElementById("NAME");
  if (!place) return;
  const frame = document.createElement("iframe");
  frame.title = "sxq: the answer";
  frame.setAttribute("sandbox", "allow-scripts");
  frame.style.cssText = "display:block;width:100%;height:480px;border:0";
  addEventListener("message", (event) => {
    const height = event.source === frame.contentWindow && Number(event.data && event.data.sxq);
    if (height > 0) frame.style.height = Math.min(height + 8, HIGHEST) + "px";
  });
  frame.srcdoc = PAGE;
  place.replaceChildren(frame);
})();
</script>"""


def embedded_page(result: Result) -> str:
    """The HTML of an answer for an output cell."""
    static = result_html(result)
    if not any(report.field_size is not None for report in result.targets):
        return static
    text = page(result).replace("</body>", f"{_HEIGHT}</body>")
    if len(text) > LARGEST:
        return f"{static}<p>result.to_html('answer.html') writes the whole answer as a page.</p>"
    name = f"sxq-{uuid4().hex}"
    script = _SHOW.replace("NAME", name).replace("HIGHEST", str(HIGHEST))
    return f'<div id="{name}">{static}</div>{script.replace("PAGE", script_json(text))}'
