"""Reads a page back: its elements with their attributes and the text in them, as a browser would."""

from html.parser import HTMLParser

# What has no end in HTML.
VOID = {"meta", "br", "link", "input", "img"}


class Page(HTMLParser):
    """The elements of a page, in the order of their beginnings.

    Attributes:
        elements: the name, the attributes and the text of each, that of those in it too.
        is_whole: whether each element has ended, and none was crossed by another.
    """

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements, self.stack, self.is_whole = [], [], True
        self.feed(str(html))
        self.close()
        self.is_whole = self.is_whole and not self.stack

    def handle_starttag(self, tag, attrs):
        self.elements.append([tag, dict(attrs), ""])
        if tag not in VOID:
            self.stack.append(self.elements[-1])

    def handle_endtag(self, tag):
        self.is_whole = self.is_whole and bool(self.stack) and self.stack.pop()[0] == tag

    def handle_data(self, data):
        for element in self.stack:
            element[2] += data

    def all(self, tag, kind=None):
        """The attributes and texts of the elements of a name, and of a class."""
        return [
            (own, text)
            for name, own, text in self.elements
            if name == tag and (kind is None or kind in (own.get("class") or "").split())
        ]

    def texts(self, tag, kind=None):
        return [text for _, text in self.all(tag, kind)]
