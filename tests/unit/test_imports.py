"""What the start of the console command does not import."""

import subprocess
import sys

import pytest

STARTS = "from ollama_openai_proxy import asgi, cli\nfrom ollama_openai_proxy.net import event_loop, listening, server"


@pytest.mark.parametrize("module", ["mitmproxy", "openai.types", "httpx2._client", "limits", "h11"])
def test_the_start_does_not_import_what_it_does_not_need(module: str) -> None:
    program = f"{STARTS}\nimport sys\nsys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_sdk_is_imported_with_its_first_use() -> None:
    program = (
        "import sys\nfrom ollama_openai_proxy.backend.lazy_sdk import load\nload()\nsys.exit('openai.types' not in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
