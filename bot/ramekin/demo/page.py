"""A page of the embedded Hub in one file, to be looked at when the Hub runs no more."""

import base64
import re
from collections.abc import Callable
from http.cookiejar import CookieJar
from urllib.parse import urljoin
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener


def standalone(address: str) -> str:
    """The page at an address that signs in, with its style and pictures inside.

    Args:
        address: As `Hub.browse` gives it.
    """
    opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))

    def read(path: str) -> bytes:
        with opener.open(urljoin(address, path), timeout=30) as answer:
            content: bytes = answer.read()
            return content

    page = read(address).decode()
    page = re.sub(r'<link rel="stylesheet" href="([^"]+)"[^>]*>', _style(read), page)
    return re.sub(r'(src|href)="(/[^"]+\.svg)"', _picture(read), page)


def _style(read: Callable[[str], bytes]) -> Callable[[re.Match[str]], str]:
    return lambda found: f"<style>{read(found[1]).decode()}</style>"


def _picture(read: Callable[[str], bytes]) -> Callable[[re.Match[str]], str]:
    def inside(found: re.Match[str]) -> str:
        data = base64.b64encode(read(found[2])).decode()
        return f'{found[1]}="data:image/svg+xml;base64,{data}"'

    return inside
