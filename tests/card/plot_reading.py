"""Plots as they are drawn, read as XML."""

from xml.etree import ElementTree as ET

from ramekin.card.plots import render_plots

NAMESPACE = "{http://www.w3.org/2000/svg}"


def draw(made, name) -> ET.Element:
    return ET.fromstring(render_plots(made.report)[name])  # noqa: S314  drawn here


def texts(root) -> list[str]:
    return [element.text for element in root.iter(f"{NAMESPACE}text")]


def of_class(root, tag, name) -> list[ET.Element]:
    return [found for found in root.iter(f"{NAMESPACE}{tag}") if name in found.get("class", "").split()]
