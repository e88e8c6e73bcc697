"""Milestones are pushed to branches of their names, and a hub that fails stops nothing (PRE-2)."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from recipes.pretraining import options, weights, write_corpus


class Hub(ThreadingHTTPServer):
    """A hub on this machine: keeps what is pushed, and fails the first commits."""

    failures = 0
    is_silent = False
    """Whether it fails by ending the connection without an answer."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.pushed: dict[str, set[str]] = {}
        self.branches: list[str] = []
        self.tokens: set[str] = set()


class Answers(BaseHTTPRequestHandler):
    """The questions that a push asks."""

    server: Hub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.tokens.add(self.headers.get("Authorization", ""))
        place = self.path.split("/")
        if self.path == "/api/repos/create":
            self.answer({"url": "http://127.0.0.1/me/student", "name": "me/student"})
        elif "validate-yaml" in place:
            self.answer({"errors": [], "warnings": []})
        elif "branch" in place:
            self.server.branches.append(place[-1])
            self.answer({})
        elif "preupload" in place:
            files = json.loads(body)["files"]
            regular = {"uploadMode": "regular", "shouldIgnore": False}
            self.answer({"files": [{"path": file["path"], **regular} for file in files]})
        elif "commit" in place and self.server.failures:
            self.server.failures -= 1
            if self.server.is_silent:
                self.close_connection = True
            else:
                self.answer({"error": "busy"}, status=503)
        elif "commit" in place:
            lines = [json.loads(line) for line in body.splitlines()]
            names = {line["value"]["path"] for line in lines if line["key"] == "file"}
            self.server.pushed[place[-1]] = names
            url = f"http://127.0.0.1:{self.server.server_address[1]}/me/student/commit/0"
            self.answer({"commitUrl": url, "commitOid": "0" * 40})

    def do_GET(self) -> None:
        self.answer({"id": "me/student", "sha": "0" * 40, "siblings": []})

    def answer(self, value: Any, status: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: Any) -> None: ...


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def run(tmp_path: Path, hub: Hub, retries: int) -> subprocess.CompletedProcess[str]:
    """A run with two milestones, pushed to the hub on this machine."""
    corpus = write_corpus(tmp_path / "stories.jsonl", documents=60)
    more = {"milestones__spacing": "list", "milestones__at": 100, "milestones__unit": "words"}
    pushing = {"hub__repo": "me/student", "hub__retries": retries}
    environment = {
        **os.environ,
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_address[1]}",
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_TOKEN": "hf_secret",
    }
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "tutelage",
            *options(corpus, tmp_path / "run", steps=3, **more, **pushing),
        ],
        capture_output=True,
        text=True,
        env=environment,
    )


def test_every_milestone_becomes_a_branch_after_retries(tmp_path: Path, hub: Hub) -> None:
    """PRE-2: the whole folder; the token goes to the hub and nowhere else."""
    hub.failures = 1
    done = run(tmp_path, hub, retries=3)
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(hub.branches) == set(hub.pushed) == {"chck_100", "step_3"}
    assert hub.pushed["chck_100"] >= {"model.safetensors", "config.json", "tokenizer.json"}
    assert "attempt 1 of 3" in done.stdout
    assert hub.tokens == {"Bearer hf_secret"}
    written = [file for file in (tmp_path / "run").rglob("*") if file.is_file()]
    assert not [file for file in written if b"hf_secret" in file.read_bytes()]


def test_a_hub_that_stays_away_does_not_stop_the_run(tmp_path: Path, hub: Hub) -> None:
    """PRE-2: the checkpoint is safe, and the command that pushes it later is told."""
    hub.failures = 100
    done = run(tmp_path, hub, retries=1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not hub.pushed
    assert "chck_100 was not pushed; it is safe in" in done.stdout
    assert "hf upload me/student" in done.stdout
    assert set(weights(tmp_path / "run")) == {"chck_100", "step_3"}
