"""Run a real Ollama with the demo model: `python -m scripts.real_servers.ollama_server BINARY PORT FOLDER`.

`FOLDER` has the model as `demo.gguf`. Ollama's own files are kept in there, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from scripts.real_servers.programs import CONTEXT, MODEL

PATIENCE = 120


def main() -> int:
    """Start Ollama, make the model, and wait for Ollama's end."""
    binary, port, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    environment = os.environ | {
        "OLLAMA_HOST": f"127.0.0.1:{port}",
        "OLLAMA_MODELS": str(folder / "ollama"),
        "OLLAMA_CONTEXT_LENGTH": str(CONTEXT),
        "HOME": str(folder),
    }
    with subprocess.Popen([binary, "serve"], env=environment) as server:
        modelfile = folder / "Modelfile"
        modelfile.write_text(f"FROM {folder / MODEL}.gguf\n", "utf-8")
        deadline = time.monotonic() + PATIENCE
        while subprocess.run([binary, "create", MODEL, "-f", modelfile], env=environment, check=False).returncode:
            if server.poll() is not None or time.monotonic() > deadline:
                server.terminate()
                return 1
            time.sleep(0.5)
        return server.wait()


if __name__ == "__main__":
    sys.exit(main())
