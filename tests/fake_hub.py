"""A Hub on loopback: what `huggingface_hub` asks of one to upload a folder, and to download it again."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants, hf_api

TOKEN = "hf_of_the_tests"
# What the Hub keeps apart from the text of a repository.
LARGE = ("*.safetensors", "*.bin", "*.png", "*.npy")


@dataclass
class Repository:
    """A repository: the files of each branch, and the messages of its commits."""

    private: bool
    branches: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"main": {}})
    messages: list[str] = field(default_factory=list)

    @property
    def files(self) -> dict[str, bytes]:
        """Of the main branch."""
        return self.branches["main"]


class FakeHub(ThreadingHTTPServer):
    """Repositories in memory, behind the addresses of the Hub; only `TOKEN` may write.

    Attributes:
        repositories: by their names.
        blobs: large files by their SHA-256, also of uploads that no commit came after.
        uploads: SHA-256 of each large file that was sent, in their order.
        breaks: asked of each request, by its method and path, whether its connection is cut instead of an answer.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.uploads: list[str] = []
        self.breaks: Callable[[str], bool] = lambda request: False

    @property
    def address(self) -> str:
        """For ``HF_ENDPOINT``."""
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a process that takes this for the Hub, and is logged in."""
        return {"HF_ENDPOINT": self.address, "HF_TOKEN": TOKEN, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}

    def connect(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
        """Have this process take it for the Hub, be logged in, and keep what it downloads in a folder."""
        for name, value in {
            "ENDPOINT": self.address,
            "HF_HUB_OFFLINE": False,
            # Its protocol is in a compiled library of its own.
            "HF_HUB_DISABLE_XET": True,
            "HUGGINGFACE_CO_URL_TEMPLATE": self.address + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(cache),
            "HF_TOKEN_PATH": str(cache / "token"),
        }.items():
            monkeypatch.setattr(constants, name, value)
        # These have read the address when they were made.
        monkeypatch.setattr(hf_api.api, "endpoint", self.address)
        monkeypatch.setattr("transformers.utils.hub._hf_api", None)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        # What is tried again is tried at once.
        monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)


@contextmanager
def serving() -> Iterator[FakeHub]:
    """A Hub that answers, in a thread of its own."""
    with FakeHub() as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield hub
        hub.shutdown()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeHub

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""

    def handle_any(self) -> None:
        """Answer by the first row of the table that fits."""
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.breaks(f"{self.command} {path}"):
            self.close_connection = True
            self.connection.close()
            return
        if self.command in ("POST", "PUT") and path != "/api/validate-yaml" and not path.startswith("/blobs/"):
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if token != TOKEN:
                self.answer(401, {"error": "Invalid username or password."})
                return
        for method, pattern, answer in _ROUTES:
            if self.command == method and (match := re.fullmatch(pattern, path)):
                answer(self, body, *match.groups())
                return
        self.answer(404, {"error": f"no answer to {self.command} {path}"})

    do_GET = do_HEAD = do_POST = do_PUT = handle_any

    def answer(self, status: int, content: Any, **headers: str) -> None:
        """Send JSON, or bytes as they are."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def create(self, body: bytes) -> None:
        """Make a repository; 409 where there is one."""
        asked = json.loads(body)
        name = f"{asked['organization'] or 'user'}/{asked['name']}"
        status = 409 if name in self.server.repositories else 200
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.server.repositories.setdefault(name, Repository(private))
        self.answer(status, {"url": f"{self.server.address}/{name}"})

    def branch(self, body: bytes, name: str, branch: str) -> None:
        """Make a branch of what the main one has."""
        branches = self.server.repositories[name].branches
        status = 409 if branch in branches else 200
        branches.setdefault(branch, dict(branches["main"]))
        self.answer(status, {})

    def whoami(self, body: bytes) -> None:
        """Say whose token it is."""
        self.answer(200, {"type": "user", "name": "user", "orgs": [], "auth": {"type": "access_token"}})

    def validate(self, body: bytes) -> None:
        """Take a card whose first block is closed."""
        lines = json.loads(body)["content"].splitlines()
        errors = [] if lines[:1] != ["---"] or "---" in lines[1:] else [{"message": "the first block is not closed"}]
        self.answer(400 if errors else 200, {"errors": errors, "warnings": []})

    def info(self, body: bytes, name: str, revision: str = "main") -> None:
        """Describe a repository."""
        repository = self.server.repositories.get(name)
        if repository is None or (files := repository.branches.get(_branch(repository, revision))) is None:
            self.answer(404, {"error": "Not found"}, X_Error_Code="RepoNotFound")
            return
        siblings = [{"rfilename": one} for one in sorted(files)]
        described = {"id": name, "modelId": name, "sha": _sha(files), "private": repository.private}
        self.answer(200, {**described, "siblings": siblings, "tags": [], "downloads": 0, "likes": 0})

    def tree(self, body: bytes, name: str, revision: str, folder: str) -> None:
        """List the files of a folder, or of all."""
        repository = self.server.repositories[name]
        files = repository.branches[_branch(repository, revision)]
        own = {one: data for one, data in files.items() if one.startswith(folder)}
        rows = [{"type": "file", "path": one, "size": len(data), "oid": _blob(data)} for one, data in own.items()]
        if rows or not folder:
            self.answer(200, rows)
        else:
            self.answer(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound")

    def preupload(self, body: bytes, name: str, revision: str) -> None:
        """Say which files are large, and which are there as they are."""
        files = self.server.repositories[name].branches[revision]
        rows = []
        for one in json.loads(body)["files"]:
            path = one["path"]
            mode = "lfs" if any(fnmatch(path, pattern) for pattern in LARGE) else "regular"
            there = files.get(path)
            oid = None if there is None else _sha256(there) if mode == "lfs" else _blob(there)
            rows.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self.answer(200, {"files": rows})

    def batch(self, body: bytes, name: str) -> None:
        """Say where large files are to be sent that are not here."""
        rows = []
        for one in json.loads(body)["objects"]:
            upload = {"upload": {"href": f"{self.server.address}/blobs/{one['oid']}"}}
            rows.append(one if one["oid"] in self.server.blobs else {**one, "actions": upload})
        self.answer(200, {"transfer": "basic", "objects": rows})

    def blob(self, body: bytes, oid: str) -> None:
        """Take a large file."""
        if _sha256(body) != oid:
            # A file that was written to while it was sent.
            self.answer(400, {"error": "not the content that was announced"})
            return
        self.server.uploads.append(oid)
        self.server.blobs[oid] = body
        self.answer(200, {})

    def commit(self, body: bytes, name: str, revision: str) -> None:
        """Take a commit as a whole."""
        repository = self.server.repositories[name]
        files = dict(repository.branches[revision])
        for line in body.splitlines():
            row = json.loads(line)
            value = row["value"]
            if row["key"] == "header":
                repository.messages.append(value["summary"])
            elif row["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif row["key"] == "lfsFile":
                files[value["path"]] = self.server.blobs[value["oid"]]
            else:
                assert row["key"] == "deletedFile"
                del files[value["path"]]
        repository.branches[revision] = files
        self.answer(200, {"commitUrl": f"{self.server.address}/{name}/commit/{_sha(files)}", "commitOid": _sha(files)})

    def resolve(self, body: bytes, name: str, revision: str, path: str) -> None:
        """Send a file."""
        repository = self.server.repositories.get(name)
        if repository is None:
            self.answer(404, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
            return
        files = repository.branches[_branch(repository, revision)]
        if path in files:
            self.answer(200, files[path], ETag=f'"{_sha256(files[path])}"', X_Repo_Commit=_sha(files))
        else:
            self.answer(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound", X_Repo_Commit=_sha(files))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _blob(data: bytes) -> str:
    """Git's name of a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _sha(files: dict[str, bytes]) -> str:
    """A name of a commit, forty digits."""
    return _blob(repr(sorted((name, _blob(data)) for name, data in files.items())).encode())


def _branch(repository: Repository, revision: str) -> str:
    """The branch of that name, or of which it is the commit."""
    return next((name for name, files in repository.branches.items() if _sha(files) == revision), revision)


_REPOSITORY = "([^/]+/[^/]+)"
# Some old ones have no owner.
_ANY_NAME = "([^/]+(?:/[^/]+)?)"
_ROUTES: list[tuple[str, str, Any]] = [
    ("POST", "/api/repos/create", _Handler.create),
    ("GET", "/api/whoami-v2", _Handler.whoami),
    ("POST", "/api/validate-yaml", _Handler.validate),
    ("GET", f"/api/models/{_REPOSITORY}", _Handler.info),
    ("GET", f"/api/models/{_REPOSITORY}/revision/(.+)", _Handler.info),
    ("GET", f"/api/models/{_REPOSITORY}/tree/([^/]+)/?(.*)", _Handler.tree),
    ("POST", f"/api/models/{_REPOSITORY}/branch/(.+)", _Handler.branch),
    ("POST", f"/api/models/{_REPOSITORY}/preupload/(.+)", _Handler.preupload),
    ("POST", f"/api/models/{_REPOSITORY}/commit/(.+)", _Handler.commit),
    ("POST", f"/{_REPOSITORY}.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", "/blobs/([0-9a-f]+)", _Handler.blob),
    ("GET", f"/{_ANY_NAME}/resolve/([^/]+)/(.+)", _Handler.resolve),
    ("HEAD", f"/{_ANY_NAME}/resolve/([^/]+)/(.+)", _Handler.resolve),
]
