"""What tests of reports find in a page and in its charts."""

import re
import xml.etree.ElementTree as ET


def rows_of(page, head, tag="h3"):
    """The rows of the table after a head, as lists of cells."""
    text = page[page.index(f"<{tag}>{head}</{tag}>") :]
    body = text[text.index("<tbody>") : text.index("</tbody>")]
    body = body.replace("\u00a0", " ")
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall("<tr>.*", body)]


def shapes(svg, stylist, kind="path"):
    """The elements of a kind that are in an arm's colour, as rule and position or corners."""
    rules = dict(re.findall(r"^\.(\w+)\{(.*)\}$", stylist.css(), re.MULTILINE))
    found = []
    for element in ET.fromstring(svg).iter(kind):
        rule = rules.get(element.attrib.get("class"), "")
        if "--series" in rule:
            found.append((rule, element.attrib))
    return found
