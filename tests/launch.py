"""Starts a script in two processes that find each other, as ``torchrun`` does."""

import os
import socket
import subprocess
import sys
from pathlib import Path


def run_two_processes(script: Path, folder: Path) -> None:
    """Run ``script FOLDER`` twice, to its end; an error of one is an assertion error with its last lines."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    workers = []
    for rank in ("0", "1"):
        world = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        with (folder / f"{rank}.log").open("w") as log:
            command = [sys.executable, str(script), str(folder)]
            workers.append(subprocess.Popen(command, env=os.environ | world, stdout=log, stderr=log))
    try:
        codes = [worker.wait(timeout=600) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert codes == [0, 0], (folder / "0.log").read_text()[-3000:]
