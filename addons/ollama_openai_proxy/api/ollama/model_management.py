"""`/api/pull`, `/api/push`, `/api/create`, `/api/copy`, `/api/delete` and blobs.

A back end's models are not the proxy's to fetch or remove. What clients do with these calls, they do to make sure that a model
is there or to tidy up; so they are told what Ollama tells of a call that had nothing to do. Copies, and models made from others
with a prompt or options of their own, really exist, as `derived` describes.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from ...errors import InvalidRequest, ModelNotFound
from ...net.http_messages import Reply
from ...net.off_loop import off_loop
from ...schemas.go_json_decoding import decode
from ...schemas.ollama.json_encoding import encode_json
from ...schemas.ollama.model_management_requests import CopyRequest, CreateRequest, DeleteRequest, PullRequest, PushRequest
from ...schemas.ollama.model_names import LONGEST_NAME, parse_name, shown
from .json_replies import progress_reply

if TYPE_CHECKING:
    from ...models.lookup import Models
    from ...net.http_messages import Request
    from ...translate.ollama_descriptions import Model

NO_FILES = "a model cannot be created from files: the models here are those of another server; create it from one of them"
_DIGEST = re.compile(r"sha256[:-]([0-9a-fA-F]{64})")


class Lifecycle:
    """The endpoints that fetch, make and remove models."""

    def __init__(self, models: Models) -> None:
        self._models = models

    async def pull(self, request: Request) -> Reply:
        """Succeed as for a model that is there already, also where none is: a back end may serve more than it lists."""
        asked = await off_loop(len(request.body), decode, PullRequest, request.body)
        name = asked.about.strip()
        model = await self._models.find(name) if name else None
        if model is None and not parse_name(name).valid:
            raise InvalidRequest("invalid model name")
        frames: list[dict[str, Any]] = [{"status": "pulling manifest"}]
        if model is not None:
            progress = {"digest": f"sha256:{model.digest}", "total": model.size, "completed": model.size}
            frames.append({"status": f"pulling {model.digest[:12]}"} | progress)
        frames += [{"status": status} for status in ("verifying sha256 digest", "writing manifest", "success")]
        return progress_reply(frames, stream=asked.stream)

    async def push(self, request: Request) -> Reply:
        """Succeed as for a model that the registry has already."""
        asked = await off_loop(len(request.body), decode, PushRequest, request.body)
        name = asked.about.strip()
        if not name:
            raise InvalidRequest("model is required")
        parsed = parse_name(name)
        model = await self._models.find(name)
        if model is None and not parsed.valid:
            return progress_reply([{"error": f"unqualified name: {parse_name(shown(name)).full}"}], stream=asked.stream)
        if model is None:
            path = f"{parsed.host}/{parsed.namespace}/{parsed.model}/{parsed.tag}"
            frames: list[dict[str, Any]] = [
                {"status": "retrieving manifest"},
                {"status": "couldn't retrieve manifest"},
                {"error": f"open /models/manifests/{path}: no such file or directory"},
            ]
        else:
            digest = f"sha256:{model.digest}"
            frames = [
                {"status": "retrieving manifest"},
                {"status": f"pushing {model.digest[:12]}", "digest": digest, "total": model.size, "completed": model.size},
                {"status": "pushing manifest"},
                {"status": "success"},
            ]
        return progress_reply(frames, stream=asked.stream)

    async def create(self, request: Request) -> Reply:
        """Make a model from another one. A model from files cannot be made here, which the client is told."""
        asked = await off_loop(len(request.body), decode, CreateRequest, request.body)
        name = asked.about.strip()
        if not parse_name(name).valid or len(name) > LONGEST_NAME:
            raise InvalidRequest("invalid model name")
        if not asked.from_ and not asked.files:
            # The first thing on a would-be stream, which has another content type than errors before it.
            error = encode_json({"error": "neither 'from' or 'files' was specified"})
            return Reply(400, {"Content-Type": "application/json"}, error)
        if asked.adapters:
            raise InvalidRequest("LoRA adapters are no longer supported")
        if not asked.from_:
            raise InvalidRequest(NO_FILES)
        source = await self._models.require(asked.from_)
        self._models.derived.add(name, source, system=asked.system, options=asked.parameters)
        await self._models.known_to_all()
        layers = [f"using existing layer sha256:{source.digest}"]
        if asked.system:
            layers.append(f"creating new layer sha256:{hashlib.sha256(asked.system.encode()).hexdigest()}")
        frames = [{"status": status} for status in (*layers, "writing manifest", "success")]
        return progress_reply(frames, stream=asked.stream)

    async def copy(self, request: Request) -> Reply:
        """Give a model another name."""
        asked = await off_loop(len(request.body), decode, CopyRequest, request.body)
        source = await self._named(asked.source, "source")
        if not parse_name(asked.destination).valid or len(asked.destination) > LONGEST_NAME:
            raise InvalidRequest(f'destination "{shown(asked.destination)}" is invalid')
        if source is None:
            raise ModelNotFound(f'model "{shown(asked.source)}" not found')
        if await self._models.find(asked.destination) is not source:
            self._models.derived.add(asked.destination, source)
            await self._models.known_to_all()
        return Reply(200)

    async def delete(self, request: Request) -> Reply:
        """Forget a name that was made here. A back end keeps its models, though the client is told that it worked."""
        asked = await off_loop(len(request.body), decode, DeleteRequest, request.body)
        name = asked.about
        if not name.strip():
            raise InvalidRequest("model is required")
        if self._models.derived.remove(name):
            await self._models.known_to_all()
            return Reply(200)
        if await self._models.find(name):
            return Reply(200)
        if not parse_name(name).valid:
            raise InvalidRequest(f'name "{shown(name)}" is invalid')
        raise ModelNotFound(f"model '{shown(name)}' not found")

    async def blob(self, request: Request) -> Reply:
        """Say whether a blob is there (it never is), or take one and forget it.

        A blob may be larger than memory, so only its digest is made.
        """
        asked = request.path.rpartition("/")[2]
        digest = _DIGEST.fullmatch(asked)
        if digest is None:
            raise InvalidRequest("invalid digest format")
        if request.method == "HEAD":
            missing = f"blob sha256:{digest[1]} not found"
            raise ModelNotFound(missing)
        uploaded = hashlib.sha256(request.body)
        if request.parts is not None:
            async for part in request.parts:
                uploaded.update(part)
        got = f"sha256:{uploaded.hexdigest()}"
        if got != f"sha256:{digest[1].lower()}":
            raise InvalidRequest(f'digest mismatch, expected "sha256:{digest[1]}", got "{got}"')
        return Reply(201)

    async def _named(self, name: str, role: str) -> Model | None:
        model = await self._models.find(name) if name.strip() else None
        if model is None and not parse_name(name).valid:
            raise InvalidRequest(f'{role} "{name}" is invalid')
        return model
