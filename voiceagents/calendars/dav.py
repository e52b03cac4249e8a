"""How is a collection on a CalDAV server read and changed? Conditional requests, so that nobody's change is lost.

The library blocks, so each request runs in a thread, with one of a few connections that are kept. RFC 4791, RFC 9110.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

import requests
from caldav.davclient import DAVClient
from caldav.elements import dav
from caldav.lib import error
from caldav.requests import HTTPBearerAuth
from requests.auth import AuthBase, HTTPBasicAuth, HTTPDigestAuth

from voiceagents.calendars.base import CalendarDown, CalendarProblem

T = TypeVar("T")

Scheme = Literal["basic", "digest", "bearer"]


@dataclass(frozen=True)
class Resource:
    """One calendar object on the server."""

    href: str
    """Its name within the collection."""
    text: str
    etag: str | None


class Conflict(Exception):
    """The condition of a change does not hold: it is there already, it is gone, or somebody changed it."""


class Collection:
    """One calendar on a CalDAV server."""

    def __init__(self, url: str, username: str, password: str, scheme: Scheme, timeout: int) -> None:
        self.url = url.rstrip("/") + "/"
        self._auth = _auth(username, password, scheme)
        self._timeout = timeout
        self._idle: list[DAVClient] = []

    async def search(self, start: datetime, end: datetime) -> list[Resource]:
        """Every event that the server says reaches into [start, end). Recurring ones come whole, not expanded."""

        def ask(client: DAVClient) -> list[Resource]:
            calendar: Any = client.calendar(url=self.url)  # pyright: ignore[reportUnknownMemberType]
            found: list[Any] = calendar.search(start=start, end=end, event=True, expand=False, props=[dav.GetEtag()])
            return [
                Resource(str(one.url).rstrip("/").rpartition("/")[2], str(one.data), one.props.get(dav.GetEtag.tag))
                for one in found
            ]

        return await self._run(ask)

    async def get(self, href: str) -> Resource | None:
        """One object; None when there is none of this name."""
        response = await self._request("GET", href)
        if response.status in (404, 410):
            return None
        self._require_success(response, "read")
        return Resource(href, str(response.raw), response.headers.get("ETag"))

    async def create(self, href: str, text: str) -> None:
        """Writes an object that is not there yet.

        Raises:
            Conflict: one of this name, or with its UID, is there.
        """
        await self._put(href, text, {"If-None-Match": "*"})

    async def replace(self, href: str, text: str, etag: str | None) -> None:
        """Writes an object over the version that was read.

        Raises:
            Conflict: it has been changed or removed since.
        """
        await self._put(href, text, {"If-Match": etag or "*"})

    async def delete(self, href: str, etag: str | None = None) -> None:
        """Removes an object; one that is gone is no error.

        Raises:
            Conflict: it has been changed since the version with this etag.
        """
        response = await self._request("DELETE", href, headers={"If-Match": etag} if etag else {})
        if response.status == 412:
            raise Conflict
        if response.status not in (404, 410):
            self._require_success(response, "remove")

    async def check(self) -> None:
        """Whether there is a calendar at the address.

        Raises:
            CalendarProblem: something else is.
        """
        response = await self._request("PROPFIND", "", body=_WHAT_IS_IT, headers={"Depth": "0"})
        self._require_success(response, "read")
        if "urn:ietf:params:xml:ns:caldav" not in str(response.raw) or "calendar" not in str(response.raw):
            raise CalendarProblem(f"At {self.url} is no calendar: give the address of one calendar, not of the server.")

    async def aclose(self) -> None:
        """Closes the connections."""
        while self._idle:
            self._idle.pop().close()

    async def _put(self, href: str, text: str, condition: dict[str, str]) -> None:
        headers = {"Content-Type": "text/calendar; charset=utf-8", **condition}
        response = await self._request("PUT", href, text, headers)
        # 409 and 403 are how servers say that the UID is taken (RFC 4791, no-uid-conflict).
        if response.status == 412 or (response.status in (403, 409) and "no-uid-conflict" in str(response.raw)):
            raise Conflict
        self._require_success(response, "write")

    async def _request(self, method: str, href: str, body: str = "", headers: dict[str, str] | None = None) -> Any:
        return await self._run(lambda client: client.request(self.url + href, method, body, headers or {}))

    def _require_success(self, response: Any, what: str) -> None:
        if response.status >= 500 or response.status == 429:
            raise CalendarDown(f"{self.url} answers {response.status}")
        if response.status in (404, 405, 409, 410):
            raise CalendarProblem(f"There is no calendar at {self.url} ({response.status}); is the address right?")
        if response.status >= 300:
            raise CalendarProblem(f"{self.url} refuses to {what} an event ({response.status} {response.reason})")

    async def _run(self, ask: Callable[[DAVClient], T]) -> T:
        return await asyncio.to_thread(self._ask, ask)

    def _connected(self) -> DAVClient:
        client = DAVClient(self.url, auth=self._auth, timeout=self._timeout)
        # A PUT that is sent elsewhere may arrive as a GET, and look as if it had written something.
        client.session.max_redirects = 0
        return client

    def _ask(self, ask: Callable[[DAVClient], T]) -> T:
        client = self._idle.pop() if self._idle else self._connected()
        try:
            answer = ask(client)
        except error.AuthorizationError:
            client.close()
            raise CalendarDown(f"{self.url} does not let us in; do username and password fit?") from None
        except error.NotFoundError:
            client.close()
            raise CalendarProblem(f"There is no calendar at {self.url}; is the address right?") from None
        except requests.TooManyRedirects:
            client.close()
            raise CalendarProblem(f"{self.url} has moved: give the address that it moved to.") from None
        except (requests.RequestException, error.DAVError) as trouble:
            client.close()
            # The text of a trouble may hold the request, and with it a person's name.
            raise CalendarDown(f"{self.url} cannot be reached ({type(trouble).__name__})") from None
        self._idle.append(client)
        return answer


_WHAT_IS_IT = (
    '<?xml version="1.0"?><d:propfind xmlns:d="DAV:"><d:prop><d:resourcetype/><d:getetag/></d:prop></d:propfind>'
)


def _auth(username: str, password: str, scheme: Scheme) -> AuthBase | None:
    match scheme:
        case "bearer":
            return HTTPBearerAuth(password)
        case "digest":
            return HTTPDigestAuth(username, password)
        case "basic":
            # Bytes, or the library takes a name with an umlaut for Latin-1.
            return HTTPBasicAuth(username.encode(), password.encode()) if username else None
