"""What the front-end extension asks the server: two read-only routes. The votes are in vote.py.

GET /softrepa/adapter?name=N             what an adapter in models/softrepa holds; &architecture=A
                                         where its file does not tell what it is for
GET /softrepa/model?folder=F&name=N      the architecture of a checkpoint or diffusion model

Both answer with JSON; an error is {"error": one sentence} with status 400 (the request or the file
is no good), 404 (ComfyUI lists no such file) or 413 (too large to look into). Only files that
ComfyUI itself lists are opened, and no path leaves the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from ...softrepa.errors import AdapterError
from .adapter import adapter_facts
from .listed import FileTooLarge
from .model import model_facts
from .vote import add_voting_routes

Facts = dict[str, Any]
Answer = Callable[[Mapping[str, str]], Facts]


def _adapter(query: Mapping[str, str]) -> Facts:
    return adapter_facts(_parameter(query, "name"), query.get("architecture") or "auto")


def _model(query: Mapping[str, str]) -> Facts:
    return model_facts(_parameter(query, "folder"), _parameter(query, "name"))


ROUTES: Mapping[str, Answer] = {"/softrepa/adapter": _adapter, "/softrepa/model": _model}


def register_routes() -> None:
    """Adds the routes to the running server; does nothing where there is none, or they are there.

    Called while ComfyUI loads its packs, before it hands its routes to aiohttp.
    """
    # Imported here: the pack is also used as a library, where there is no server.
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is None:
        return
    known = {getattr(route, "path", None) for route in server.routes}
    for path, answer in ROUTES.items():
        if path not in known:
            server.routes.get(path)(_handler(answer))
    add_voting_routes(server.routes)


def _handler(answer: Answer) -> Callable[[web.Request], Any]:
    async def handle(request: web.Request) -> web.Response:
        try:
            # Opening files can be slow; the event loop serves every other user meanwhile.
            facts = await asyncio.to_thread(answer, request.query)
        except FileNotFoundError:
            return _error(404, "ComfyUI lists no such file: refresh the page's node definitions.")
        except FileTooLarge as error:
            return _error(413, str(error))
        except (AdapterError, ValueError) as error:
            return _error(400, str(error))
        except OSError as error:
            return _error(400, f"The file cannot be read: {error.strerror}.")
        # The file behind a name can change at any time.
        return web.json_response(facts, headers={"Cache-Control": "no-store"})

    return handle


def _error(status: int, sentence: str) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    return web.json_response({"error": sentence[:500]}, status=status, headers=headers)


def _parameter(query: Mapping[str, str], name: str) -> str:
    value = query.get(name, "")
    if not value:
        raise ValueError(f'The request lacks "{name}".')
    return value
