"""Pages under test: their tags and text, and that they ask nothing of anyone."""

import base64
import io
import re
from html.parser import HTMLParser

from PIL import Image


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def check_self_contained(html: str) -> Tags:
    """A page must ask nothing of anyone: pictures inline, no scripts, no addresses."""
    tags = Tags(html)
    assert not re.search(r"https?:|url\(|@import|javascript:", html)
    assert {tag for tag, _ in tags.found} & {"script", "link", "iframe", "object"} == set()
    for tag, attributes in tags.found:
        if "src" in attributes:
            kind, _, data = attributes["src"].partition(",")
            assert (tag, kind) == ("img", "data:image/png;base64")
            Image.open(io.BytesIO(base64.b64decode(data, validate=True))).verify()
        assert not {"href", "srcset", "style" if tag == "img" else ""} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
    return tags
