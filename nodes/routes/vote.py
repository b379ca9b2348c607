"""The voting page on ComfyUI's server, for the trials in its output folder.

/softrepa/vote/ and everything below it; evaluation/votes/serving/answers.py says what that is.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import folder_paths
from aiohttp import web

from ...evaluation.votes.serving.answers import LARGEST_BODY, Poll, Request, answer, refusal
from ...evaluation.votes.trial import trials_in

ADDRESS = "/softrepa/vote"
VOTING_ROUTES = (ADDRESS, f"{ADDRESS}/{{path:.*}}")
_METHODS = ("GET", "POST")


def add_voting_routes(routes: web.RouteTableDef) -> None:
    known = {getattr(route, "path", None) for route in routes}
    for path in VOTING_ROUTES:
        for method in _METHODS:
            if path not in known:
                routes.route(method, path)(_handle)


async def _handle(request: web.Request) -> web.Response:
    if "path" not in request.match_info:  # what the page loads is named relative to the slash
        return web.Response(status=308, headers={"Location": f"{ADDRESS.split('/')[-1]}/"})
    body = b""
    while len(body) <= LARGEST_BODY and (more := await request.content.readany()):
        body += more
    if len(body) > LARGEST_BODY:
        response = refusal("The request is too large.", 413)
    else:
        asked = Request(
            request.method,
            request.match_info["path"],
            dict(request.query),
            {name.lower(): value for name, value in request.headers.items()},
            body,
        )
        # Files and the database are waited for elsewhere; the event loop serves others meanwhile.
        response = await asyncio.to_thread(lambda: answer(_poll(), asked))
    return web.Response(status=response.status, headers=response.headers, body=response.body)


def _poll() -> Poll:
    folder = Path(folder_paths.get_output_directory()) / "softrepa" / "trials"
    try:
        return Poll(trials_in(sorted(folder.iterdir())))
    except OSError:
        return Poll({})
