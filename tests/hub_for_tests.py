"""A stand-in of the Hugging Face hub's HTTP API on this machine, as huggingface_hub speaks to it."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

TOKEN = "hf_of_the_tests"
LFS = (".zip", ".safetensors", ".mp4")


@dataclass
class Repository:
    """Commits by hash, the newest last: files by name."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    @property
    def head(self) -> str:
        return list(self.commits)[-1]

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[self.head]

    def commit(self, files: dict[str, bytes], message: str) -> str:
        digest = hashlib.sha1(repr((len(self.commits), sorted(files))).encode()).hexdigest()
        self.commits[digest] = files
        self.messages.append(message)
        return digest


@dataclass
class StandIn:
    """What the hub knows, and how it misbehaves."""

    endpoint: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    fails: int = 0
    """Status of every answer, where it is not 0."""
    fails_on_commit: int = 0
    damage: int | None = None
    """Index of a byte that is sent wrong."""

    def repository(self, name: str) -> Repository:
        if name not in self.repositories:
            self.repositories[name] = Repository()
            self.repositories[name].commit({}, "initial commit")
        return self.repositories[name]


class Handler(BaseHTTPRequestHandler):
    hub: StandIn

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def answer_json(self, data: Any, status: int = 200) -> None:
        self.answer(status, json.dumps(data).encode(), Content_Type="application/json")

    def missing(self, code: str) -> None:
        self.answer(404, b"{}", X_Error_Code=code)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def begin(self) -> bool:
        """Note the request; whether it is to be answered as usual."""
        self.hub.requests.append(f"{self.command} {self.path}")
        if self.hub.fails:
            self.body()
            self.answer(self.hub.fails, b"it is broken")
        return not self.hub.fails

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if not self.begin():
            return
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", self.path):
            self.show(found[1])
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path):
            self.send_file(*found.groups())
        else:
            self.missing("EntryNotFound")

    def show(self, name: str) -> None:
        if name not in self.hub.repositories:
            self.missing("RepoNotFound")
            return
        repository = self.hub.repositories[name]
        siblings = [{"rfilename": file} for file in repository.files]
        self.answer_json({"id": name, "sha": repository.head, "siblings": siblings, "private": False, "tags": []})

    def send_file(self, name: str, revision: str, file: str) -> None:
        repository = self.hub.repositories.get(name)
        if repository is None:
            self.missing("RepoNotFound")
            return
        commit = repository.head if revision == "main" else revision
        if commit not in repository.commits:
            self.missing("RevisionNotFound")
        elif file not in repository.commits[commit]:
            self.missing("EntryNotFound")
        else:
            content = repository.commits[commit][file]
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            if self.hub.damage is not None:
                content = bytearray(content)
                content[self.hub.damage] ^= 1
                content = bytes(content)
            self.answer(200, content, X_Repo_Commit=commit, ETag=etag)

    def do_POST(self) -> None:
        if not self.begin():
            return
        content = self.body()
        if self.path == "/api/validate-yaml":
            self.answer_json({"errors": [], "warnings": []})
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.answer(401, b"{}")
        elif self.path == "/api/repos/create":
            given = json.loads(content)
            name = f"{given['organization']}/{given['name']}"
            status = 409 if name in self.hub.repositories else 200
            self.hub.repository(name)
            self.answer_json({"url": f"{self.hub.endpoint}/{name}"}, status)
        elif "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(content)["files"]]
            modes = [
                {"path": name, "uploadMode": "lfs" if name.endswith(LFS) else "regular", "shouldIgnore": False}
                for name in names
            ]
            self.answer_json({"files": modes})
        elif self.path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                {**file, "actions": {"upload": {"href": f"{self.hub.endpoint}/lfs/{file['oid']}"}}}
                for file in json.loads(content)["objects"]
            ]
            self.answer_json({"transfer": "basic", "objects": objects})
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/.+", self.path):
            self.take_commit(found[1], [json.loads(line) for line in content.splitlines()])

    def do_PUT(self) -> None:
        content = self.body()
        assert self.path == f"/lfs/{hashlib.sha256(content).hexdigest()}"
        self.hub.stored[self.path.rpartition("/")[2]] = content
        self.answer(200)

    def take_commit(self, name: str, lines: list[dict[str, Any]]) -> None:
        if self.hub.fails_on_commit:
            self.answer(self.hub.fails_on_commit, b"{}")
            return
        repository = self.hub.repositories[name]
        files, message = dict(repository.files), ""
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                assert value.get("parentCommit") == repository.head
                message = value["summary"]
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.stored[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
            else:
                raise AssertionError(line["key"])
        digest = repository.commit(files, message)
        self.answer_json({"commitUrl": f"{self.hub.endpoint}/{name}/commit/{digest}", "commitOid": digest})


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """Run it as long as the block lasts."""
    hub = StandIn()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": hub}))
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def only_hub(patch: pytest.MonkeyPatch, folder: Path) -> Iterator[StandIn]:
    """The stand-in as the only hub: with a token, an empty cache, and the plain way of uploading large files."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="the extra hub is not installed")
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    patch.setattr(constants, "HF_HUB_CACHE", str(folder / "cache"))
    patch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
    patch.setenv("HF_TOKEN", TOKEN)
    with stand_in() as running:
        patch.setenv("HF_ENDPOINT", running.endpoint)
        yield running
