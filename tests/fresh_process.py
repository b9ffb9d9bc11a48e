"""Code run in a process that has not imported the package: one interpreter with PyTorch in it forks for each.

Nearly all that a new interpreter takes is the import of PyTorch and of Transformers' base classes, without which there
is nothing of ours. The forks have these, and nothing else.
"""

import atexit
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

SERVER = """
import json, os, sys, tempfile, traceback
import torch
from transformers import AutoModel, PreTrainedModel

for line in sys.stdin:
    asked = json.loads(line)
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            code = 1
            try:
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                os.environ.update(asked["environment"])
                os.chdir(asked["cwd"] or ".")
                sys.argv = ["-c", *asked["arguments"]]
                exec(compile(asked["code"], "<code>", "exec"), {"__name__": "__main__"})
                code = 0
            except SystemExit as error:
                code = error.code or 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code if isinstance(code, int) else 1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    print(json.dumps([status, *texts]), flush=True)
"""


@cache
def _server() -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    started = subprocess.Popen([sys.executable, "-c", SERVER], stdin=pipe, stdout=pipe, text=True, encoding="utf-8")

    def stop() -> None:
        started.communicate()

    atexit.register(stop)
    return started


def run(code: str, *arguments: str, cwd: Path | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
    """What ``python -c code *arguments`` gives, in this folder and with these variables of the environment too."""
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    asked = {"code": code, "arguments": arguments, "cwd": cwd and str(cwd), "environment": environment}
    server.stdin.write(json.dumps(asked) + "\n")
    server.stdin.flush()
    status, out, err = json.loads(server.stdout.readline())
    return subprocess.CompletedProcess(code, status, out, err)
