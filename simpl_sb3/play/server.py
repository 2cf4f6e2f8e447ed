"""The page and its WebSocket, on this machine unless told otherwise."""

import asyncio
import contextlib
import json
import secrets
import socket
from collections.abc import Sequence
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from simpl_sb3.errors import SettingsError
from simpl_sb3.play.choices import Choice
from simpl_sb3.play.outbox import Outbox
from simpl_sb3.play.worker import Worker

__all__ = ["LOOPBACK", "make_app", "open_socket", "serve"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
PAGE = {
    "/": ("index.html", "text/html"),
    "/play.css": ("play.css", "text/css"),
    "/play.js": ("play.js", "text/javascript"),
    "/draw.js": ("draw.js", "text/javascript"),
}
MAX_MESSAGE = 1 << 16
MAX_TABS = 16
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'{sockets}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Door:
    """
    Who may come in: on the loopback interface whoever asks for this machine by its name, elsewhere who has the token.

    :param token: that the URL must hold; None for the loopback interface
    """

    def __init__(self, token: str | None) -> None:
        self.token = token

    def refusal(self, connection: HTTPConnection) -> str | None:
        """Why somebody may not come in; None where they may."""
        host = connection.headers.get("host", "")
        if self.token is None:
            if urlsplit(f"//{host}").hostname not in LOOPBACK:
                return "This playground answers on this machine only."
        elif not secrets.compare_digest(connection.query_params.get("token", "").encode(), self.token.encode()):
            return "The address needs the token that simpl-sb3 play printed: http://...:PORT/?token=..."
        return None

    def socket_refusal(self, connection: HTTPConnection) -> str | None:
        """The same for a WebSocket, which must come from the page itself."""
        origin = urlsplit(connection.headers.get("origin", ""))
        if not origin.netloc or origin.netloc != connection.headers.get("host"):
            return "A WebSocket from another page is not served."
        return self.refusal(connection)


def make_app(choices: Sequence[Choice], n_episodes: int, token: str | None = None) -> Starlette:
    """
    The application.

    :param choices: what a visitor may choose, the first at the start
    :param n_episodes: that an agent adapts for
    :param token: that the URL must hold; None for the loopback interface
    """
    door, tabs = Door(token), set[Worker]()
    folder = files("simpl_sb3.play") / "page"
    contents = {path: ((folder / name).read_bytes(), kind) for path, (name, kind) in PAGE.items()}

    async def page(request: Request) -> Response:
        refusal = door.refusal(request) if request.url.path == "/" else None
        if refusal is not None:
            return PlainTextResponse(refusal, 403)
        content, kind = contents[request.url.path]
        return Response(content, media_type=kind, headers=_headers(request))

    async def tab(websocket: WebSocket) -> None:
        refusal = door.socket_refusal(websocket)
        if refusal is None and len(tabs) >= MAX_TABS:
            refusal = f"{MAX_TABS} tabs are open already: close one of them."
        if refusal is not None:
            await websocket.close(1008, refusal)
            return
        await websocket.accept()
        worker = Worker(choices, Outbox(), n_episodes)
        tabs.add(worker)
        worker.start()
        sending = asyncio.create_task(_send(websocket, worker.outbox))
        try:
            await _receive(websocket, worker)
        finally:
            sending.cancel()
            worker.leave()
            await asyncio.to_thread(worker.join, 30.0)
            tabs.discard(worker)

    routes = [Route(path, page) for path in PAGE]
    return Starlette(routes=[*routes, WebSocketRoute("/ws", tab)])


def _headers(request: Request) -> dict[str, str]:
    netloc = urlsplit(f"//{request.headers.get('host', '')}").netloc
    named = netloc if all(sign.isalnum() or sign in ".:-[]" for sign in netloc) else ""
    sockets = f" ws://{named} wss://{named}" if named else ""
    return {
        "content-security-policy": POLICY.format(sockets=sockets),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
    }


async def _send(websocket: WebSocket, outbox: Outbox) -> None:
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        while True:
            message = await outbox.get()
            if isinstance(message, bytes):
                await websocket.send_bytes(message)
            else:
                await websocket.send_text(json.dumps(message))


async def _receive(websocket: WebSocket, worker: Worker) -> None:
    """Hand the page's orders on, until it is closed."""
    while True:
        try:
            text = await websocket.receive_text()
            message: Any = json.loads(text) if len(text) <= MAX_MESSAGE else None
        except WebSocketDisconnect:
            return
        except (ValueError, KeyError, RecursionError):
            message = None
        worker.order(message if isinstance(message, dict) and message else {"type": "something else"})


# ------------------------------------------------------------ serving


def open_socket(host: str, port: int) -> socket.socket:
    """
    :raises SettingsError: for a port that is in use, or a host that is not this machine's
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        opened = socket.socket(found[0], socket.SOCK_STREAM)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            opened.bind(found[4])
            opened.listen(64)
        except OSError:
            opened.close()
            raise
    except OSError as error:
        raise SettingsError(
            f"The playground cannot listen on {host}, port {port} ({error.strerror or error}): expected a free port, "
            "such as --port 8766, or --port 0 for any, and a --host that is this machine's."
        ) from error
    return opened


def serve(choices: Sequence[Choice], host: str, port: int, n_episodes: int, announce: Any) -> None:
    """
    Serve the page until Ctrl-C.

    :param announce: is told the page's address once it can be opened
    :raises SettingsError: as :func:`open_socket`, and for a first choice whose model cannot be played with
    """
    opened = open_socket(host, port)
    with contextlib.closing(opened):
        choices[0].load()
        token = None if host in LOOPBACK else secrets.token_urlsafe(16)
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{opened.getsockname()[1]}/{'' if token is None else f'?token={token}'}"
        config = uvicorn.Config(
            make_app(choices, n_episodes, token),
            log_level="error",
            access_log=False,
            ws="websockets-sansio",
            ws_max_size=MAX_MESSAGE,
            lifespan="off",
            timeout_graceful_shutdown=2,
        )
        announce(address)
        uvicorn.Server(config).run(sockets=[opened])
