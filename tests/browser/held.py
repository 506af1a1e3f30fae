"""Answers that come late: requests that are held until a test releases them."""

from __future__ import annotations

from playwright.sync_api import Page, Route


class Held:
    """Requests to a path, which are answered only once they are released; later ones are answered at once."""

    def __init__(self, page: Page, path: str) -> None:
        self._routes: list[Route] = []
        self._page = page
        self._path = path
        self._is_released = False
        page.route(path, self._hold)

    def _hold(self, route: Route) -> None:
        if self._is_released:
            route.continue_()
        else:
            self._routes.append(route)

    def release(self) -> None:
        for _ in range(1_500):
            if self._routes:
                break
            self._page.wait_for_timeout(20)
        assert self._routes, f"no request to {self._path}"
        self._is_released = True
        for route in self._routes:
            route.continue_()
