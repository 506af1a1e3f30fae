"""Somebody who opens one page after another."""

from __future__ import annotations

import threading
import time

import httpx

SIGN_IN = (
    "from django.conf import settings; from django.test import Client; from accounts.models import User;"
    " client = Client(); client.force_login(User.objects.get(email='admin@example.com'));"
    " print(client.cookies[settings.SESSION_COOKIE_NAME].value)"
)
"""Prints the session of the user that `MAKE_ADMIN` makes."""


class Reader:
    """Reads until it ends; `times` has the seconds of each page that was read, `failures` what was not 200."""

    def __init__(self, url: str, session: str, pages: tuple[str, ...], pause: float = 0.0) -> None:
        self.times: dict[str, list[float]] = {page: [] for page in pages}
        self.failures: list[str] = []
        self._url, self._session, self._pause, self._ended = url, session, pause, threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def slowest(self) -> dict[str, float]:
        return {page: round(max(times, default=0.0), 2) for page, times in self.times.items()}

    def end(self) -> None:
        self._ended.set()
        self._thread.join(60)

    def _run(self) -> None:
        with httpx.Client(base_url=self._url, cookies={"sessionid": self._session}, timeout=60) as browser:
            while not self._ended.is_set():
                for page in self.times:
                    self._read(browser, page)
                    self._ended.wait(self._pause)

    def _read(self, browser: httpx.Client, page: str) -> None:
        began = time.monotonic()
        try:
            answer = browser.get(page)
        except httpx.HTTPError as error:
            self.failures.append(f"{page}: {error!r}")
            return
        self.times[page].append(time.monotonic() - began)
        if answer.status_code != 200:
            self.failures.append(f"{page}: {answer.status_code}")
